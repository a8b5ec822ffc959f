import { assertEquals } from "@std/assert";
import { AddressWatch } from "../../../lib/net/address_watch.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

/** A machine whose addresses and clocks a test turns by hand. */
class Machine implements Disposable {
  readonly clock = new FakeClock();
  addresses = ["10.0.0.1", "fd00::1"];
  wallClock = 1_000;
  changes = 0;
  readonly watch = new AddressWatch({
    read: () => this.addresses,
    onChange: () => this.changes++,
    clock: this.clock,
    wallClock: () => this.wallClock,
  });

  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 1_000) {
      this.wallClock += 1_000;
      this.clock.advance(1_000);
    }
  }

  [Symbol.dispose](): void {
    this.watch[Symbol.dispose]();
    assertEquals(this.clock.pending, []);
  }
}

Deno.test("each change of the addresses is told once, within two seconds", () => {
  using machine = new Machine();
  machine.pass(10_000);
  assertEquals(machine.changes, 0);
  for (
    const [i, addresses] of [["10.0.0.1"], [], ["10.0.0.1"], ["10.0.0.2", "10.0.0.1"]].entries()
  ) {
    machine.addresses = addresses;
    machine.pass(2_000);
    assertEquals(machine.changes, i + 1);
    machine.pass(20_000);
    assertEquals(machine.changes, i + 1);
  }
});

Deno.test("another order of the same addresses is no change", () => {
  using machine = new Machine();
  machine.addresses = machine.addresses.toReversed();
  machine.pass(2_000);
  assertEquals(machine.changes, 0);
});

Deno.test("a machine that has slept looks at its way to the tracker, though its addresses are the same", () => {
  using machine = new Machine();
  machine.wallClock += 60_000;
  machine.pass(2_000);
  assertEquals(machine.changes, 1);
  machine.pass(2_000);
  assertEquals(machine.changes, 1);
});
