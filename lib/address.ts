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
