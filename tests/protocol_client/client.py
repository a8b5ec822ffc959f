"""A client of the p2p protocol, written from lib/wire/PROTOCOL.md alone, as a check of that page.

    client.py [--join INVITE | --insecure HOST:PORT] [--seed HEX] COMMAND
    COMMAND: selftest | register NAME | list | ping PEER | broadcast TEXT | send FILE PEER

Needs Python 3.9 and `cryptography`. Prints one JSON object per line. `register` stays, prints what arrives,
and unregisters at the end of standard input. Section numbers are those
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


# Section 12

async def send_file(node, peer, path):
    with open(path, "rb") as file:
        data = file.read()
    size, whole, transfer = 256 * 1024, b64(hashlib.sha256(data).digest()), b64(os.urandom(16))
    pieces = [data[at:at + size] for at in range(0, len(data), size)]
    done = asyncio.get_running_loop().create_future()

    async def on_frame(session, verb, fields, _body):
        if verb == "GET":
            await session.write("PIECE", {"transfer": transfer, "index": fields["index"]}, pieces[fields["index"]])
        elif verb == "ACK" and fields["state"] in ("saved", "already"):
            done.set_result(fields)
        elif verb in ("CANCEL", None) and not done.done():
            done.set_exception(ProtocolError(fields["code"], fields["message"]) if verb else session.error)

    session = await node.dial(peer["host"], peer["port"], unb64(peer["id"], 32), on_frame)
    _, ack = await session.ask("SEND_FILE", {
        "transfer": transfer, "name": os.path.basename(path), "size": len(data), "pieceSize": size})
    if ack["state"] == "ready":
        hashes = [hashlib.sha256(piece).digest() for piece in pieces]
        for start in range(0, len(hashes), 2048):
            segment = b"".join(hashes[start:start + 2048])
            await session.write("HASHES", {"transfer": transfer, "start": start}, segment)
        await session.write("HASHES", {"transfer": transfer, "start": len(hashes), "last": True,
                                       "size": len(data), "sha256": whole})
        ack = await asyncio.wait_for(done, 60)
    await session.close()
    if ack["sha256"] != whole:
        raise ProtocolError("integrity", "the receiver has other bytes")
    return ack["name"]


# Commands

def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


async def find(tracker, name):
    for peer in await PeerList().refresh(tracker):
        if peer["name"] == name:
            return peer
    raise ProtocolError("peer-unknown", f"no peer {name}")


async def register(node, tracker_at, name):
    peers = PeerList()

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

    port = await node.listen("127.0.0.1", ignore)
    tracker = await node.dial(*tracker_at, on_frame=on_frame)
    _, ok = await tracker.ask("REGISTER", {"name": name, "port": port})
    say("registered", **{key: ok[key] for key in ("name", "host", "port", "reachable")}, id=node.identity.id)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await tracker.ask("UNREGISTER")
    say("unregistered")
    await tracker.close()


async def main(options):
    if options.command == "selftest":
        import selftest
        return await selftest.run()
    if options.join:
        host, port, network = parse_invite(options.join)
    else:
        host, port = options.insecure.rsplit(":", 1)
        network = None
    identity = Identity(bytes.fromhex(options.seed) if options.seed else os.urandom(32))
    node = Node(identity, network, "peer" if options.command == "register" else "client")
    if options.command == "register":
        return await register(node, (host, port), options.arguments[0])
    tracker = await node.dial(host, port)
    if options.command == "list":
        for peer in await PeerList().refresh(tracker):
            say("peer", **peer)
    elif options.command == "ping":
        peer = await find(tracker, options.arguments[0])
        session = await node.dial(peer["host"], peer["port"], unb64(peer["id"], 32))
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
        say("delivered", savedAs=await send_file(node, peer, options.arguments[0]))
    await tracker.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--join")
    parser.add_argument("--insecure")
    parser.add_argument("--seed")
    parser.add_argument("command")
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args()
    try:
        asyncio.run(main(given))
    except ProtocolError as problem:
        say("error", code=problem.code, message=str(problem))
        sys.exit(1)
