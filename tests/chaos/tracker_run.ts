import { P2PError } from "../../lib/errors.ts";
import { parseInvite } from "../../lib/identity/invite.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { openRaw, type RawSession } from "../helpers/raw.ts";
import { type TrackerProcess, World } from "../e2e/helpers.ts";
import type { Outcome } from "../helpers/campaign.ts";
import { closedPort } from "../helpers/closed_port.ts";
import { EventLog } from "../helpers/event_log.ts";
import { randomFrom } from "../helpers/random.ts";

/** Members that ask at a time. */
const PARALLEL = 8;
/** Requests that are answered before the kill, at most. */
const LATEST = 400;
/** Names that members ask for: few, so that they want each other's. */
const NAMES = 40;
/** Names of members that a stranger asks for afterwards. */
const ASKED = 5;

/** After how many answers a run kills; it follows from the seed. */
export function killAfter(seed: number): number {
  return 1 + Math.floor(randomFrom(seed)() * LATEST);
}

/** What a member knows of itself: what was acknowledged last, and whether something is under way that may have happened. */
interface Member {
  raw: RawSession;
  /** Undefined when it is not listed. */
  name: string | undefined;
  isBarred: boolean;
  isPending: boolean;
  /** Recipients that it has reported of its share. */
  reported: number;
}

/** Carries out the run of a seed. */
export async function run(seed: number): Promise<Outcome> {
  await using world = await World.create();
  const tracker = await world.tracker();
  const members: Member[] = [];
  try {
    const answers = await load(seed, { world, tracker, members });
    const before = performance.now();
    const again = await world.tracker(["--port", `${tracker.port}`]);
    const ms = performance.now() - before;
    const problems = [
      ...await listProblems(world, members),
      ...await shareProblems(world, members),
      ...await nameProblems(again, members),
    ];
    const listed = members.filter(({ name }) => name !== undefined).length;
    const summary = `${answers} answers, ${listed} members, there again in ${Math.round(ms)} ms`;
    return { summary, problems, log: `${tracker.program.report}\n${again.program.report}` };
  } finally {
    await Promise.all(members.map(({ raw }) => raw[Symbol.asyncDispose]()));
  }
}

/** Has members ask for all kinds of things until the tracker is killed; resolves with how many were answered. */
async function load(
  seed: number,
  { world, tracker, members }: { world: World; tracker: TrackerProcess; members: Member[] },
): Promise<number> {
  const random = randomFrom(seed);
  const answers = new EventLog<true>();
  let isKilled = false;
  const killed = answers.until(() => answers.length >= killAfter(seed)).then(async () => {
    isKilled = true;
    await tracker.program.kill();
  });
  const pick = <T>(all: readonly T[]) => all[Math.floor(random() * all.length)] as T;
  const work = async () => {
    while (!isKilled) {
      const idle = members.filter(({ isPending, isBarred }) => !isPending && !isBarred);
      const [action, member] = [random(), pick(idle)];
      try {
        if (!member || action < 0.4) await join();
        else if (action < 0.7) await register(member);
        else if (action < 0.8) await leave(member);
        else if (action < 0.95) await report(member);
        else await bar(member);
        answers.add(true);
      } catch (error) {
        if (!isKilled) throw error;
      }
    }
  };
  await Promise.all([killed, ...Array.from({ length: PARALLEL }, work)]);
  return answers.length;

  async function join(): Promise<void> {
    const raw = await openRaw({ ...placeOf(tracker), identity: Identity.generate(), role: "peer" });
    const member = { raw, name: undefined, isBarred: false, isPending: false, reported: 0 };
    members.push(member);
    await register(member);
  }

  async function register(member: Member): Promise<void> {
    const name = `name-${Math.floor(random() * NAMES)}`;
    const { session } = member.raw;
    const answer = await pending(
      member,
      () => session.request({ verb: "REGISTER", name, port: closedPort() }),
    );
    member.name = answer.message.name;
  }

  async function leave(member: Member): Promise<void> {
    await pending(member, () => member.raw.session.request({ verb: "UNREGISTER" }));
    member.name = undefined;
  }

  async function report(member: Member): Promise<void> {
    const recipient = { id: Identity.generate().id, name: "r", state: "delivered" as const };
    await pending(member, () =>
      member.raw.session.request({
        ...{ verb: "REPORT", share: "s".repeat(22), name: "a.bin", size: 1, total: 9 },
        ...{ at: "2026-01-01T00:00:00Z", recipients: [recipient] },
      }));
    member.reported++;
  }

  async function bar(member: Member): Promise<void> {
    const { id } = member.raw.identity;
    await pending(member, async () => {
      const options = { env: { P2P_DEBUG: "1" } };
      const { code, stderr } = await world.run("tracker", ["remove", `id:${id}`], options);
      if (code !== 0) throw new Error(stderr);
    });
    member.isBarred = true;
    member.name = undefined;
  }
}

/** Does something that has been acknowledged once it resolves; a member of which it rejects stays pending. */
async function pending<T>(member: Member, act: () => Promise<T>): Promise<T> {
  member.isPending = true;
  const answer = await act();
  member.isPending = false;
  return answer;
}

function placeOf({ invite }: TrackerProcess) {
  const { host, port, network, secret } = parseInvite(invite);
  return { address: { host, port }, membership: { id: network, secret } };
}

/** Who is listed under which name, and who is barred, is what was acknowledged. */
async function listProblems(world: World, members: readonly Member[]): Promise<string[]> {
  const [listed, removed] = await Promise.all(
    ["peers", "removed"].map(async (command) => {
      const { lines } = await world.run("tracker", [command, "--json"]);
      return new Map(lines.map(({ id, name }) => [id as string, name as string]));
    }),
  );
  if (!listed || !removed) throw new TypeError("two commands have two answers");
  return members.filter(({ isPending }) => !isPending).flatMap(({ raw, name, isBarred }) => {
    const { id } = raw.identity;
    const found = listed.get(id);
    if (isBarred !== removed.has(id)) return [`${id} should ${isBarred ? "" : "not "}be barred`];
    return found === name ? [] : [`${id} should be ${name ?? "away"}, and is ${found ?? "away"}`];
  });
}

async function shareProblems(world: World, members: readonly Member[]): Promise<string[]> {
  const { lines } = await world.run("tracker", ["shares", "--json"]);
  const delivered = new Map(lines.map(({ sender, delivered }) => [sender, delivered]));
  return members.filter(({ isPending }) => !isPending).flatMap(({ raw, reported }) => {
    const found = delivered.get(raw.identity.id) ?? 0;
    return found === reported ? [] : [`${raw.identity.id} has reported ${reported}, not ${found}`];
  });
}

/** A stranger gets no name that belongs to somebody. */
async function nameProblems(
  tracker: TrackerProcess,
  members: readonly Member[],
): Promise<string[]> {
  const problems: string[] = [];
  const named = members.filter(({ isPending, name }) => !isPending && name !== undefined);
  await using stranger = await openRaw({ ...placeOf(tracker), role: "peer" });
  for (const { name = "" } of named.slice(0, ASKED)) {
    const got = await stranger.session.request({ verb: "REGISTER", name, port: closedPort() });
    if (got.message.name === name) problems.push(`the name ${name} has changed hands`);
  }
  // An owner that comes back has its name again.
  const [owner] = named;
  if (!owner) return problems;
  const { identity } = owner.raw;
  await using back = await openRaw({ ...placeOf(tracker), identity, role: "peer" });
  const { name } = owner;
  if (name === undefined) throw new P2PError("unexpected", "an owner has a name");
  const got = await back.session.request({ verb: "REGISTER", name, port: closedPort() });
  if (got.message.name !== name) problems.push(`${name} came back as ${got.message.name}`);
  return problems;
}
