/**
 * The names of groups that peers say they are in. People type them after `--group`, and with an @ after `--to`.
 *
 * @module
 */

/** Most groups of one peer. */
export const MAX_GROUPS = 8;

/** Few characters, so that no two look the same: 1 to 32 of ASCII. */
const GROUP_NAME = /^[a-z0-9][a-z0-9._-]{0,31}$/;

/** Whether a group may have this name. */
export function isGroupName(name: string): boolean {
  return GROUP_NAME.test(name);
}

/** Whether these may be the groups of a peer: so few, all with a name that is allowed, each once and in order. */
export function areGroups(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= MAX_GROUPS &&
    value.every((name, i) =>
      typeof name === "string" && isGroupName(name) && (i === 0 || value[i - 1] < name)
    );
}
