"""A client of the p2p protocol, written from lib/wire/PROTOCOL.md alone, as a check of that page.

    client.py [--join INVITE | --insecure HOST:PORT] [--seed HEX] COMMAND
    COMMAND: selftest | register NAME [FOLDER] | list | ping PEER | broadcast TEXT | send PATH PEER

Needs Python 3.9 and `cryptography`. Prints one JSON object per line. `register` stays, prints what arrives,
takes files and folders into FOLDER, and unregisters at the end of standard input. Section numbers are those
of the page. P2P_TRACE in the environment prints the frames.
"""

import argparse
import asyncio
import datetime
import hashlib
import json
import os
import sys

from protocol import Identity, Node, ProtocolError, b64, ignore, parse_invite, unb64, verify
from transfer import Content, Inbox, send

# Section 9

class PeerList:
    def __init__(self):
        self.peers, self.position, self.seen = {}, {"since": 0}, None

    def apply(self, fields):
        """Whether there is more."""
        if fields["full"]:
            self.seen = set()
        for peer in fields["peers"]:
            self.peers[peer["id"]] = peer
            if self.seen is not None:
                self.seen.add(peer["id"])
        for gone in fields["gone"]:
            self.peers.pop(gone, None)
        self.position = {"since": fields["revision"], "epoch": fields["epoch"]}
        if not fields["more"] and self.seen is not None:
            self.peers, self.seen = {key: self.peers[key] for key in self.peers if key in self.seen}, None
        return fields["more"]

    async def refresh(self, tracker):
        while self.apply((await tracker.ask("PEERS", self.position))[1]):
            pass
        return list(self.peers.values())


# Section 10

def message_bytes(network, header, text):
    time, name = header["time"].encode(), header["name"].encode()
    return (b"p2p-message" + (1).to_bytes(2, "big") + (network["id"] if network else bytes(32))
            + unb64(header["id"], 16) + len(time).to_bytes(2, "big") + time
            + len(name).to_bytes(2, "big") + name + hashlib.sha256(text).digest())


# Section 12, "Receipts"

def receipt_bytes(network, sender, ack, size):
    name, time = ack["name"].encode(), ack["time"].encode()
    content = b"S" + unb64(ack["sha256"], 32) if "sha256" in ack else b"M" + unb64(ack["manifest"], 32)
    return (b"p2p-receipt" + (1).to_bytes(2, "big") + network["id"] + unb64(ack["transfer"], 16)
            + unb64(sender, 32) + content + size.to_bytes(8, "big") + len(name).to_bytes(2, "big") + name
            + len(time).to_bytes(2, "big") + time)


# Commands

def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


async def find(tracker, name):
    for peer in await PeerList().refresh(tracker):
        if peer["name"] == name:
            return peer
    raise ProtocolError("peer-unknown", f"no peer {name}")


async def dial_peer(node, peer, on_frame=ignore):
    """Section 9, "Addresses": one after the other, until the peer's own key answers."""
    places = [(place["host"], place["port"]) for place in (peer, *peer.get("addresses", []))]
    return await dial_first(node, places, unb64(peer["id"], 32), on_frame)


async def dial_first(node, places, peer_id=None, on_frame=ignore):
    for host, port in places:
        try:
            return await node.dial(host, port, peer_id, on_frame)
        except ProtocolError as error:
            failure = error
    raise failure


async def register(node, tracker_places, name, inbox, addresses):
    peers = PeerList()

    async def on_peer_frame(session, verb, fields, body):
        if inbox is None or not await inbox.on_frame(session, verb, fields, body):
            await ignore(session, verb, fields, body)

    async def on_frame(session, verb, fields, body):
        if verb == "PEER_LIST":
            if peers.apply(fields):
                asyncio.ensure_future(peers.refresh(session))
            say("peers", names=sorted(peer["name"] for peer in peers.peers.values()))
        elif verb == "MESSAGE":
            signed = message_bytes(node.network, fields, body)
            valid = verify(unb64(fields["from"], 32), unb64(fields["signature"], 64), signed)
            say("message", text=body.decode(), sender=fields["from"], valid=valid)
        elif verb is None:
            say("closed")
        else:
            await ignore(session, verb, fields, body)

    port = await node.listen("127.0.0.1", on_peer_frame)
    tracker = await dial_first(node, tracker_places, on_frame=on_frame)
    claimed = {"addresses": [{"host": host, "port": port} for host in addresses]} if addresses else {}
    _, ok = await tracker.ask("REGISTER", {"name": name, "port": port, **claimed})
    told = ("name", "host", "port", "addresses", "reachable")
    say("registered", **{key: ok[key] for key in told if key in ok}, id=node.identity.id)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await tracker.ask("UNREGISTER")
    say("unregistered")
    await tracker.close()


async def main(options):
    if options.command == "selftest":
        import selftest
        return await selftest.run()
    if options.join:
        hosts, port, network = parse_invite(options.join)
    else:
        host, port = options.insecure.rsplit(":", 1)
        hosts, network = [host], None
    places = [(host, port) for host in hosts]
    identity = Identity(bytes.fromhex(options.seed) if options.seed else os.urandom(32))
    node = Node(identity, network, "peer" if options.command == "register" else "client")
    if options.command == "register":
        name, *folder = options.arguments
        limits = (options.break_after, options.stop_after, options.apart)
        inbox = Inbox(folder[0], say, *limits) if folder else None
        return await register(node, places, name, inbox, options.address)
    tracker = await dial_first(node, places)
    if options.command == "list":
        for peer in await PeerList().refresh(tracker):
            say("peer", **peer)
    elif options.command == "ping":
        peer = await find(tracker, options.arguments[0])
        session = await dial_peer(node, peer)
        verb, _ = await session.ask("PING")
        await session.close()
        say("pong", verb=verb)
    elif options.command == "broadcast":
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        header = {"id": b64(os.urandom(16)), "time": now, "name": "python"}
        text = options.arguments[0].encode()
        header["signature"] = b64(identity.key.sign(message_bytes(network, header, text)))
        _, ok = await tracker.ask("BROADCAST", header, text)
        say("sent", delivered=ok["delivered"], id=identity.id)
    elif options.command == "send":
        peer = await find(tracker, options.arguments[1])

        def dial(on_frame):
            return dial_peer(node, peer, on_frame)

        content = Content(options.arguments[0], options.scheme)
        ack, had, served = await send(dial, content, options.known, options.stop_after)
        if ack and network:
            signed = receipt_bytes(network, identity.id, ack, len(content.data))
            if not verify(unb64(peer["id"], 32), unb64(ack["signature"], 64), signed):
                raise ProtocolError("integrity", "the receipt's signature is wrong")
        if ack:
            say("delivered", state=ack["state"], savedAs=ack["name"], had=had, served=served)
        else:
            say("left", had=had, served=served)
    await tracker.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--join")
    parser.add_argument("--insecure")
    parser.add_argument("--seed")
    parser.add_argument("--scheme", default="independent", help="send: how the pieces are proven")
    parser.add_argument("--known", action="append", default=[], choices=["manifest", "sha256"],
                        help="send: offer that; repeatable")
    parser.add_argument("--stop-after", type=int, help="send: leave when so many pieces are verified; "
                        "register: ask for so many at first")
    parser.add_argument("--apart", type=int, help="register: ask for pieces from that one on by their own hashes")
    parser.add_argument("--break-after", type=int, help="register: cut the first connection after so many pieces")
    parser.add_argument("--address", action="append", default=[], help="register: an address to name; repeatable")
    parser.add_argument("command")
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args()
    try:
        asyncio.run(main(given))
    except ProtocolError as problem:
        say("error", code=problem.code, message=str(problem))
        sys.exit(1)
