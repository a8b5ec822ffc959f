/**
 * Routers that speak UPnP, the Internet Gateway Device protocol of versions 1 and 2: found by a question to all of the
 * network (SSDP), described by a page in XML, and told what to do by SOAP.
 *
 * @module
 */

import { createSocket } from "node:dgram";
import { onAbort } from "../../async/abort.ts";
import { systemClock } from "../../async/clock.ts";
import { P2PError } from "../../errors.ts";
import { askByHttp } from "./http.ts";
import { LEASE, type Mapping, type MappingWish, type Router } from "./router.ts";

/** Where all that speak UPnP on a network listen (UPnP Device Architecture 2.0, 1.3.2). */
const GROUP = { host: "239.255.255.250", port: 1900 };
/** Milliseconds between two questions, and after the last one: devices answer within a second, as they are asked to. */
const SEARCH_PAUSE = 1_500;
const SEARCHES = 2;
/** Devices whose descriptions are read, of those that answer. */
const MAX_DEVICES = 8;

/** Services that map ports, the better ones first. */
const SERVICES = ["WANIPConnection:2", "WANIPConnection:1", "WANPPPConnection:1"]
  .map((name) => `urn:schemas-upnp-org:service:${name}`);

/** Error codes (WANIPConnection:2, 2.5.16) that are dealt with here. */
const CONFLICT = "718";
const ONLY_PERMANENT = "725";
/** Ports outside that are tried when those before are another machine's. */
const MAX_PORTS = 3;

/** A router's service that maps ports. */
interface Service {
  type: string;
  control: URL;
}

/** A router that speaks UPnP. */
export class UpnpRouter implements Router {
  readonly protocol = "UPnP";
  readonly host: string;
  readonly #from: string;
  readonly #service: Service;
  #outsidePort = 0;

  /** @param from address of this machine that is to be mapped. */
  constructor(from: string, service: Service) {
    this.#from = from;
    this.#service = service;
    this.host = service.control.hostname;
  }

  /**
   * Reads what a device says of itself.
   *
   * @param location of its description, on the host that answered.
   * @throws {P2PError} `timeout`, or `version` when it maps no ports.
   */
  static async at(location: URL, from: string, signal: AbortSignal): Promise<UpnpRouter> {
    const { text } = await askByHttp(location, { signal });
    const service = serviceIn(text, location);
    if (!service) throw new P2PError("version", "it does not map ports by UPnP");
    return new UpnpRouter(from, service);
  }

  async map({ port, outside }: MappingWish, signal: AbortSignal): Promise<Mapping> {
    const answer = await this.#call("GetExternalIPAddress", {}, signal);
    const host = textIn(answer, "NewExternalIPAddress") ?? "";
    let lease = LEASE / 1000;
    this.#outsidePort = outside?.port ?? port;
    for (let tries = 1;; tries++) {
      try {
        await this.#add(port, lease, signal);
        break;
      } catch (error) {
        if (!(error instanceof UpnpError) || tries >= MAX_PORTS) throw error;
        if (error.number === ONLY_PERMANENT && lease > 0) lease = 0;
        else if (error.number === CONFLICT) this.#outsidePort = anyPort();
        else throw error;
      }
    }
    const lifetime = lease > 0 ? LEASE : Infinity;
    return { outside: { host, port: this.#outsidePort }, lifetime };
  }

  async unmap(signal: AbortSignal): Promise<void> {
    await this.#call("DeletePortMapping", {
      NewRemoteHost: "",
      NewExternalPort: this.#outsidePort,
      NewProtocol: "TCP",
    }, signal);
  }

  async #add(port: number, lease: number, signal: AbortSignal): Promise<void> {
    await this.#call("AddPortMapping", {
      NewRemoteHost: "",
      NewExternalPort: this.#outsidePort,
      NewProtocol: "TCP",
      NewInternalPort: port,
      NewInternalClient: this.#from,
      NewEnabled: 1,
      NewPortMappingDescription: "p2p",
      NewLeaseDuration: lease,
    }, signal);
  }

  /** Calls an action (UPnP Device Architecture 2.0, 3.2); its arguments need no escaping. */
  async #call(
    action: string,
    args: Record<string, string | number>,
    signal: AbortSignal,
  ): Promise<string> {
    const { type, control } = this.#service;
    const fields = Object.entries(args).map(([name, value]) => `<${name}>${value}</${name}>`);
    const body = `<?xml version="1.0"?>\r\n` +
      `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ` +
      `s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>` +
      `<u:${action} xmlns:u="${type}">${fields.join("")}</u:${action}></s:Body></s:Envelope>\r\n`;
    const headers = {
      "Content-Type": `text/xml; charset="utf-8"`,
      "SOAPAction": `"${type}#${action}"`,
    };
    const { status, text } = await askByHttp(control, { headers, body, signal });
    if (status === 200) return text;
    const number = textIn(text, "errorCode") ?? "";
    throw new UpnpError(/^\d{1,4}$/.test(number) ? number : `${status}`);
  }
}

/** A router's no. */
class UpnpError extends P2PError {
  /** Its code in digits. */
  readonly number: string;

  constructor(number: string) {
    super(
      "refused",
      number === "606" ? "it is not allowed there" : `it answers with error ${number}`,
    );
    this.number = number;
  }
}

/**
 * Looks for routers that speak UPnP on the network of an address of this machine; undefined when none answers.
 *
 * @throws the signal's reason.
 */
export async function searchUpnp(
  from: string,
  signal: AbortSignal,
): Promise<UpnpRouter | undefined> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<UpnpRouter | undefined>();
  using _listening = onAbort(signal, () => reject(signal.reason));
  const socket = createSocket("udp4");
  const seen = new Set<string>();
  let cancel = () => {};
  socket.on("error", () => resolve(undefined));
  socket.on("message", (message, { address }) => {
    const location = locationIn(message.toString(), address);
    if (!location || seen.has(location.href) || seen.size >= MAX_DEVICES) return;
    seen.add(location.href);
    // Other devices answer too, in whatever way.
    UpnpRouter.at(location, from, signal).then(resolve, () => {});
  });
  const ask = (tries: number) => {
    if (tries === SEARCHES) return resolve(undefined);
    socket.send(SEARCH, GROUP.port, GROUP.host, () => {});
    cancel = systemClock.after(SEARCH_PAUSE, () => ask(tries + 1));
  };
  socket.bind(0, from, () => ask(0));
  try {
    return await promise;
  } finally {
    cancel();
    socket.close();
  }
}

/** The question (UPnP Device Architecture 2.0, 1.3.2); a device of version 2 answers to it too. */
const SEARCH = [
  "M-SEARCH * HTTP/1.1",
  `HOST: ${GROUP.host}:${GROUP.port}`,
  `MAN: "ssdp:discover"`,
  "MX: 1",
  "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1",
  "",
  "",
].join("\r\n");

/** Where an answer to the question says that its sender is described: nowhere else than on its own host. */
function locationIn(answer: string, sender: string): URL | undefined {
  const [, location = ""] = /^location:[ \t]*(\S+)/im.exec(answer) ?? [];
  return onHost(location, sender);
}

/** The service that maps ports in a description. */
function serviceIn(description: string, location: URL): Service | undefined {
  const base = textIn(description, "URLBase") || location.href;
  const services = description.split("<service>").slice(1);
  for (const type of SERVICES) {
    const found = services.find((service) => textIn(service, "serviceType") === type);
    const path = found && textIn(found, "controlURL");
    const control = path ? onHost(path, location.hostname, base) : undefined;
    if (control) return { type, control };
  }
  return undefined;
}

/** The URL when it is of HTTP and leads to a host: a program that follows others is sent to third ones. */
function onHost(text: string, host: string, base?: string): URL | undefined {
  const url = URL.parse(text, base);
  return url?.protocol === "http:" && url.hostname === host ? url : undefined;
}

/** The text of the first element of a name, which has no elements in it. In time that is linear, whatever is sent. */
function textIn(xml: string, name: string): string | undefined {
  const opened = xml.search(new RegExp(`<${name}[\\s>]`));
  const start = opened < 0 ? 0 : xml.indexOf(">", opened) + 1;
  const end = xml.indexOf("<", start);
  if (start === 0 || end < 0) return undefined;
  return xml.slice(start, end).trim().replaceAll("&amp;", "&");
}

/** A port of those that are for anybody (RFC 6335, 6). */
function anyPort(): number {
  return 49_152 + Math.floor(Math.random() * (65_536 - 49_152));
}
