import { MemoryRegistry } from "../../../lib/tracker/registry/memory_registry.ts";
import { LateRegistry } from "../../helpers/late_registry.ts";
import { type OpenRegistry, registryContract } from "./registry_contract.ts";

const inMemory: OpenRegistry = ({ newEpoch, ...options }) => new MemoryRegistry(newEpoch, options);

registryContract("registry in memory", inMemory);
registryContract("registry that answers late", (setting) => new LateRegistry(inMemory(setting)));
