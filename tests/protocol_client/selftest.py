"""The worked examples of lib/wire/PROTOCOL.md, taken from the page itself, against client.py."""

import asyncio
import base64
import json
import pathlib
import re
import tempfile

from client import message_bytes, say
from cryptography.hazmat.primitives.serialization import Encoding
from protocol import ROLES, Frames, Identity, Node, ProtocolError, b64, parse_invite, transcript
from transfer import SCHEMES, Inbox, hashes_of, manifest_id, plan_tree, safe_name, sha256


async def read(data, may_have_body):
    """A frame, or the code of the error that reading it gives."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    try:
        return await Frames(reader, None).read(may_have_body)
    except ProtocolError as error:
        return error.code


HOSTILE_TABLES = [
    ("refused", [["file", "../a", 0, 0, False]]), ("refused", [["file", "/a", 0, 0, False]]),
    ("refused", [["folder", "a", 0], ["file", "a/./b", 0, 0, False]]), ("refused", [["folder", "a/", 0]]),
    ("refused", [["file", "a\0", 0, 0, False]]), ("refused", [["folder", "x" * 4097, 0]]),
    ("refused", [["folder", "a", 0], ["file", "a", 0, 0, False]]),
    ("refused", [["file", "a", 0, 0, False], ["file", "a/b", 0, 0, False]]),
    ("malformed", [["file", "a/b", 0, 0, False]]), ("malformed", [["file", "a", 0, 1, False]]),
    ("malformed", [["file", "a", 0, -1, False]]), ("malformed", [["file", "a", 0, 0]]),
    ("malformed", [["folder", "a", 0.5]]), ("malformed", [["link", "a", 0, 0, False]]), ("malformed", [7]),
]


def code_of(table):
    try:
        plan_tree(table, len(table))
    except ProtocolError as error:
        return error.code
    return None


def check_transfers(page, stands):
    hello = b"hello world\n"
    hashes = [sha256(hello)]
    stands(hashes[0].hex())
    stands(f'"size":12,"sha256":"{b64(hashes[0])}"')
    manifest = manifest_id(0, 12, 262144, None, hashes)
    assert page.count(f'"manifest":"{manifest}"') == 3, "the manifest id of the example"
    assert page.count('"size":12,"pieceSize":262144,"scheme":"independent"') == 2, "the scheme of the example"
    table = (re.search(r'^\["folder","bin".*?\n(?=```)', page, re.M | re.S)[0]).encode()
    tree = table + b"#!/bin/sh\n" + hello
    stands(f"is a table of {len(table)} bytes; `size` is {len(tree)}.")
    hashes = [sha256(tree)]
    stands(hashes[0].hex())
    stands(manifest_id(0, len(tree), 262144, len(table), hashes))
    assert [entry[1] for entry in plan_tree(tree, len(table))] == [
        ("bin",), ("bin", "run"), ("empty",), ("hello.txt",)]
    for code, entries in HOSTILE_TABLES:
        found = code_of("".join(json.dumps(entry) + "\n" for entry in entries).encode())
        assert found == code, f"{found} for {entries}"
    assert [code_of(table) for table in (b"", b"\xff\n", b'["folder","a",0]')] == [None, "malformed", "malformed"]
    assert [safe_name(name) for name in ("../.a", "C:\\b", "..")] == ["_a", "b", "unnamed"]


def check_hashes(stands):
    """The example of a scheme that changes, and the trace of one."""
    data, pieces = sample(40_000, 16_384)
    for first in (0, 1, len(pieces)):
        hashes = hashes_of(pieces, first)
        for piece_hash in hashes:
            stands(f"  {piece_hash.hex()}")
        stands(f" {manifest_id(first, len(data), 16_384, None, hashes)}")
    stands(b64(sha256(data)))
    data, pieces = sample(2_500_000, 1 << 20)
    stands(f'"size":{len(data)},"sha256":"{b64(sha256(data))}"')
    hashes = hashes_of(pieces, 1)
    stands(f'"name":"e.bin","manifest":"{manifest_id(1, len(data), 1 << 20, None, hashes)}"')


def sample(size, piece_size):
    """Bytes as in the examples, and their pieces."""
    data = bytes(index % 251 for index in range(size))
    return data, [data[at:at + piece_size] for at in range(0, size, piece_size)]


class Recorder:
    """A session that only keeps what is written to it."""

    remote_id = "somebody"

    def __init__(self):
        self.frames = []

    async def write(self, verb, fields, _body=b""):
        self.frames.append((verb, fields))


async def check_schemes(stands):
    for scheme in SCHEMES:
        stands(f"| `{scheme}` ")
    offer = {"seq": 1, "transfer": b64(bytes(16)), "name": "a", "size": 1, "pieceSize": 262144}
    with tempfile.TemporaryDirectory() as folder:
        inbox, session = Inbox(folder, lambda event, **fields: None), Recorder()
        for verb, table in (("SEND_FILE", {}), ("SEND_TREE", {"table": 0})):
            for scheme in ("chained", *SCHEMES):
                assert await inbox.on_frame(session, verb, {**offer, **table, "scheme": scheme}, b"")
                answer, fields = session.frames.pop()
                assert fields["re"] == 1 and session.frames == [], "one answer"
                if scheme in SCHEMES:
                    assert (answer, fields["state"]) == ("ACK", "ready"), f"{answer} for {scheme}"
                else:
                    assert (answer, fields["code"]) == ("ERROR", "invalid"), f"{answer} for {scheme}"
                    assert all(known in fields["message"] for known in SCHEMES), "it names those it knows"


async def run():
    page = pathlib.Path(__file__).parents[2].joinpath("lib/wire/PROTOCOL.md").read_text("utf-8")

    def stands(text):
        assert text in page, f"not on the page: {text}"

    dialler, listener, network = (Identity(bytes(range(at, at + 32))) for at in (0, 0x20, 0x40))
    for identity in (dialler, listener, network):
        stands(identity.id)
    secret, nonces = bytes(range(0x60, 0x70)), (bytes(range(0x80, 0xA0)), bytes(range(0xA0, 0xC0)))
    membership = {"id": network.public, "secret": secret}
    invite = re.search(r"^p2p://192.*$", page, re.M)[0]
    assert parse_invite(invite) == (["192.168.1.7"], 5000, membership)
    several = invite.replace("7:", "7,[fd00::1]:")
    assert parse_invite(several) == (["192.168.1.7", "fd00::1"], 5000, membership)
    ids = (dialler.public, listener.public)
    for identity, prover in ((dialler, b"D"), (listener, b"L")):
        data = transcript(prover, ("peer", "peer"), network.public, nonces, ids)
        assert len(data) == 178
        if prover == b"D":
            assert data.hex() in re.sub(r"\s", "", page)
        proof = Node(identity, membership, "peer").prove(data)
        stands(proof["mac"])
        stands(proof["signature"])
    for role, byte in ROLES.items():
        stands(f"`{role}` 0x{byte.hex()} \"{byte.decode()}\"")
        assert transcript(b"D", (role, "peer"), network.public, nonces, ids)[16:18] == byte + b"P"
        assert transcript(b"D", ("peer", role), network.public, nonces, ids)[16:18] == b"P" + byte
    for may_have_body, result in ((True, ("PIECE", {"body": 2}, b"ab")), (False, "unexpected-verb")):
        assert await read(b'PIECE {"body":2}\nab', may_have_body) == result
    header = {"id": b64(bytes(range(0xC0, 0xD0))), "time": "2025-01-02T03:04:05.678Z", "name": "anna"}
    for member in (membership, None):
        stands(b64(dialler.key.sign(message_bytes(member, header, b"hello"))))
    own = listener.certificate().public_bytes(Encoding.DER)
    assert base64.b64encode(own).decode() in re.sub(r"\s", "", page), "the certificate"
    certified = listener.certificate(network).public_bytes(Encoding.DER)
    assert certified[:-64] == own[:-64]
    stands(b64(certified[-64:]))
    check_transfers(page, stands)
    check_hashes(stands)
    await check_schemes(stands)
    say("selftest", ok=True)
