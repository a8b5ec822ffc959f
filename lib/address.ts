/** Host and port of an endpoint. IPv6 hosts are without brackets. */
export interface Address {
  host: string;
  port: number;
}

/** `host:port`, IPv6 in brackets. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Where somebody is who is reached through a tracker that passes bytes on: a host that is no address, so that it is never
 * taken for one, and that all of them share where something is limited by address.
 */
export const RELAYED: Address = { host: "relay", port: 0 };

/** The field of an event that says where else something can be had; none when it is nowhere else. */
export function otherAddresses(addresses: readonly Address[] = []): { addresses?: string[] } {
  return addresses.length > 0 ? { addresses: addresses.map(formatAddress) } : {};
}

/**
 * Whether a host name or address means this machine alone: `localhost`, 127.0.0.0/8 or ::1 (RFC 6761, RFC
 * 6890), in any case and notation. Other names do not count, whatever they may resolve to.
 */
export function isLoopback(host: string): boolean {
  if (/^localhost\.?$/i.test(host)) return true;
  if (host.includes(":")) return isLoopbackIPv6(host);
  // As dotted decimal alone: `127.1` and `0x7f.1` are names to some resolvers, and addresses to others.
  const octets = /^127\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(host)?.slice(1);
  return octets?.every((octet) => Number(octet) <= 255) ?? false;
}

function isLoopbackIPv6(host: string): boolean {
  // A URL's host is written one way only: lower case, no leading zeros, hexadecimal to its end.
  const url = /^[\da-f:.]+$/i.test(host) ? URL.parse(`http://[${host}]`) : null;
  return url !== null && /^\[::(?:1|ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4})\]$/.test(url.hostname);
}

/** Whether a listener on `host` takes connections to any address of the machine. */
export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** An address as its owner writes it: an IPv4 address in IPv6 notation (RFC 4291, 2.5.5.2) is plain again. */
export function plainHost(host: string): string {
  const groups = host.includes(":") ? groupsOf(host) : undefined;
  if (!groups || groups.slice(0, 5).some((group) => group !== 0) || groups[5] !== 0xffff) {
    return host;
  }
  const [high = 0, low = 0] = groups.slice(6);
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/**
 * The network that an address most likely shares with its neighbours: the first 24 bits of an IPv4 address, the first
 * 64 of an IPv6 address, of which whoever has one has as many as they like. A name is a network of its own.
 */
export function networkOf(host: string): string {
  const plain = plainHost(host);
  const octets = octetsOf(plain);
  if (octets) return `${octets.slice(0, 3).join(".")}.0/24`;
  const groups = groupsOf(plain);
  if (!groups) return plain;
  return `${groups.slice(0, 4).map((group) => group.toString(16)).join(":")}::/64`;
}

/** Whose an address is, as far as limits go: an IPv4 address is one customer's, of IPv6 addresses a whole /64 is. */
export function ownerOf(host: string): string {
  const plain = plainHost(host);
  return plain.includes(":") ? networkOf(plain) : plain;
}

/** What an address reaches: `unusable` are the unspecified one, multicast, broadcast, and what is reserved. */
export type Reach = "loopback" | "link-local" | "unusable" | "other";

/** What a literal address reaches (RFC 6890); undefined for a name, and for notations that resolvers read differently. */
export function reachOf(host: string): Reach | undefined {
  const plain = plainHost(host);
  const octets = octetsOf(plain);
  if (octets) {
    const [a = 0, b = 0] = octets;
    if (a === 127) return "loopback";
    if (a === 169 && b === 254) return "link-local";
    return a === 0 || a >= 224 ? "unusable" : "other";
  }
  const groups = groupsOf(plain);
  if (!groups) return undefined;
  const [first = 0] = groups;
  if (isLoopbackIPv6(plain)) return "loopback";
  if ((first & 0xffc0) === 0xfe80) return "link-local";
  // ::/96 holds the unspecified address and the deprecated notation of IPv4; 64:ff9b::/96 leads to any IPv4 address.
  const isOldIPv4 = groups.slice(0, 6).every((group) => group === 0);
  const isTranslated = first === 0x64 && groups[1] === 0xff9b;
  return isOldIPv4 || isTranslated || first >= 0xff00 ? "unusable" : "other";
}

/**
 * Whether to dial an address because somebody asks for it: literal addresses alone, none of this machine or this link
 * unless the one through whom it was asked, at `via`, is there too. Others could have the one who dials look around
 * where they cannot go themselves.
 */
export function mayBeDialledFor(host: string, via: string): boolean {
  const reach = reachOf(host);
  if (reach === undefined || reach === "unusable") return false;
  return reach === "other" || reach === reachOf(via);
}

/** Whether a host is a literal IPv6 address, with its scope or without. */
export function isIPv6(host: string): boolean {
  return host.includes(":") && groupsOf(host) !== undefined && !/%$/.test(host);
}

/** Whether a host is a link-local IPv6 address without the interface that it holds on (RFC 4007, 11). */
export function needsScope(host: string): boolean {
  return /^fe[89ab][\da-f]:[^%]*$/i.test(host);
}

/** The four numbers of an IPv4 address in plain dotted decimal. */
function octetsOf(host: string): number[] | undefined {
  const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(host)?.slice(1);
  // A leading zero means octal to some resolvers.
  if (!octets || octets.some((octet) => Number(octet) > 255 || /^0\d/.test(octet))) {
    return undefined;
  }
  return octets.map(Number);
}

/** The eight groups of an IPv6 address, in any notation (RFC 4291, 2.2). */
function groupsOf(host: string): number[] | undefined {
  const [address = ""] = host.split("%");
  const url = /^[\da-f:.]+$/i.test(address) ? URL.parse(`http://[${address}]`) : null;
  if (!url) return undefined;
  const [head = "", tail] = url.hostname.slice(1, -1).split("::");
  const parse = (part: string) => part === "" ? [] : part.split(":").map((g) => parseInt(g, 16));
  const [left, right] = [parse(head), parse(tail ?? "")];
  return [...left, ...new Array(8 - left.length - right.length).fill(0), ...right];
}
