import { MemoryRegistry } from "../../../lib/tracker/registry/memory_registry.ts";
import { SqliteStore } from "../../../lib/tracker/store/sqlite_store.ts";
import { LateRegistry } from "../../helpers/late_registry.ts";
import { type OpenRegistry, registryContract } from "./registry_contract.ts";

const inMemory: OpenRegistry = ({ newEpoch, ...options }) => new MemoryRegistry(newEpoch, options);

registryContract("registry in memory", inMemory);
registryContract("registry that answers late", (setting) => new LateRegistry(inMemory(setting)));
registryContract("registry with a store", ({ newEpoch, clock }) => {
  const store = new SqliteStore(":memory:", { notice() {}, clock });
  return new MemoryRegistry(newEpoch, { clock, store });
});
