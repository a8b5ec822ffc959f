"""Sections 2 to 7 of lib/wire/PROTOCOL.md: keys, the invite, frames, sessions, TLS, HELLO and AUTH."""

import asyncio
import base64
import datetime
import hmac
import json
import os
import re
import ssl
import sys
import tempfile

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

MAX_HEADER = 65536
BODY_CAPS = {"BROADCAST": 16384, "MESSAGE": 16384, "HASHES": 65536, "PIECE": 4 << 20}
SMALL_ORDER = [bytes.fromhex(key) for key in (
    "00" * 32, "01" + "00" * 31,
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ec" + "ff" * 30 + "7f", "ed" + "ff" * 30 + "7f", "ee" + "ff" * 30 + "7f")]


class ProtocolError(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


# Section 2

def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text, length):
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (TypeError, ValueError) as error:
        raise ProtocolError("malformed", "not base64url") from error
    if len(data) != length or b64(data) != text:
        raise ProtocolError("malformed", f"not {length} bytes in base64url")
    return data


def verify(public_key, signature, data):
    if bytes([*public_key[:31], public_key[31] & 0x7F]) in SMALL_ORDER:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
        return True
    except (InvalidSignature, ValueError):
        return False


class Identity:
    def __init__(self, seed):
        self.key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = raw_key(self.key.public_key())
        self.id = b64(self.public)

    def certificate(self, issuer=None):
        """Section 4, "What the listener presents"."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "p2p")])
        serial = bytes([self.public[0] & 0x3F | 0x40]) + self.public[1:16]
        return (x509.CertificateBuilder().issuer_name(name).subject_name(name)
                .serial_number(int.from_bytes(serial, "big"))
                .not_valid_before(datetime.datetime(1970, 1, 1))
                .not_valid_after(datetime.datetime(9999, 12, 31, 23, 59, 59))
                .public_key(self.key.public_key())
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(x509.SubjectAlternativeName([x509.DNSName("peer.invalid")]), critical=False)
                .sign((issuer or self).key, None))


def raw_key(key):
    return key.public_bytes(ser.Encoding.Raw, ser.PublicFormat.Raw)


# Section 3

def parse_invite(text):
    host = r"(?:\[[^]]+\]|[^][:/,]+)"
    match = re.fullmatch(rf"p2p://({host}(?:,{host})*):(\d+)/?#([\w-]{{43}})\.([\w-]{{22}})", text)
    if not match:
        raise ProtocolError("usage", "not an invite")
    hosts = [host.strip("[]") for host in match[1].split(",")]
    return hosts, int(match[2]), {"id": unb64(match[3], 32), "secret": unb64(match[4], 16)}


# Section 5

class Frames:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def read(self, may_have_body=True):
        """(verb, fields, body), or None at the end of the connection."""
        line = await self.reader.readline()
        if not line:
            return None
        if len(line) > MAX_HEADER + 1 or not line.endswith(b"\n"):
            raise ProtocolError("malformed", "a header that is too long or cut short")
        verb, space, rest = line[:-1].partition(b" ")
        if not re.fullmatch(rb"[A-Z_]{1,16}", verb):
            raise ProtocolError("malformed", "not a verb")
        fields = json.loads(rest.decode("utf-8")) if space else {}
        fields = {key: value for key, value in fields.items() if value is not None}
        verb, length = verb.decode(), fields.get("body", 0)
        if length > BODY_CAPS.get(verb, 65536):
            raise ProtocolError("too-long", f"a body of {length} bytes")
        if length and not may_have_body:
            raise ProtocolError("unexpected-verb", f"{verb} with a body before the proofs")
        body = await self.reader.readexactly(length)
        trace("<", line, body)
        return verb, fields, body

    async def write(self, verb, fields=None, body=b""):
        fields = {key: value for key, value in (fields or {}).items() if value is not None}
        if body:
            fields["body"] = len(body)
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        line = f"{verb} {text}\n".encode() if fields else f"{verb}\n".encode()
        trace(">", line, body)
        self.writer.write(line + body)
        await self.writer.drain()


def trace(arrow, line, body):
    if "P2P_TRACE" in os.environ:
        print(arrow, line.decode().rstrip("\n"), body[:64].hex(), file=sys.stderr)


# Section 6

class Session(Frames):
    """Answers PING; hands requests and notifications to `on_frame(session, verb, fields, body)`."""

    def __init__(self, reader, writer, on_frame):
        super().__init__(reader, writer)
        self.on_frame, self.remote_id = on_frame, None
        self.pending, self.last_seq, self.error = {}, 0, None

    def start(self):
        self.running = asyncio.ensure_future(self.run())

    async def run(self):
        error = ProtocolError("connection-lost", "the connection ended without BYE")
        try:
            while (frame := await self.read()) is not None:
                verb, fields, body = frame
                waiting = self.pending.pop(fields.get("re"), None)
                if verb == "BYE":
                    break
                if verb == "PING":
                    await self.write("PONG", {"re": fields.get("seq")})
                elif verb == "ERROR" and "re" not in fields:
                    if fields["code"] != "unknown-verb":
                        raise ProtocolError(fields["code"], fields["message"])
                elif verb == "ERROR" and waiting:
                    waiting.set_exception(ProtocolError(fields["code"], fields["message"]))
                elif waiting:
                    waiting.set_result((verb, fields))
                elif "re" not in fields and verb != "PONG":
                    await self.on_frame(self, verb, fields, body)
        except ProtocolError as failure:
            error = failure
        except (OSError, asyncio.IncompleteReadError):
            pass
        self.error = error
        for waiting in self.pending.values():
            waiting.set_exception(error)
        self.writer.close()
        await self.on_frame(self, None, {}, b"")

    async def ask(self, verb, fields=None, body=b"", timeout=30):
        self.last_seq += 1
        answer = self.pending[self.last_seq] = asyncio.get_running_loop().create_future()
        await self.write(verb, {"seq": self.last_seq, **(fields or {})}, body)
        return await asyncio.wait_for(answer, timeout)

    async def close(self):
        if self.error is None:
            await self.write("BYE")
        self.writer.close()
        self.running.cancel()

    async def leave(self):
        """Says BYE, and waits until the other side has taken note of it and closed."""
        if self.error is None:
            await self.write("BYE")
        await asyncio.wait_for(self.running, 10)


async def ignore(session, verb, fields, body):
    if verb and "seq" in fields:
        await session.write("ERROR", {"re": fields["seq"], "code": "unexpected-verb", "message": "not here"})


# Section 7

ROLES = {"peer": b"P", "tracker": b"T", "client": b"C", "operator": b"O"}


def transcript(prover, roles, network, nonces, ids):
    """`roles`, `nonces` and `ids` are pairs: the dialler's, the listener's."""
    return (b"p2p-handshake" + (1).to_bytes(2, "big") + prover + b"".join(ROLES[role] for role in roles)
            + network + b"".join(nonces) + b"".join(ids))


class Node:
    def __init__(self, identity, network, role):
        self.identity, self.network, self.role = identity, network, role

    def hello(self, nonce):
        return {"protocol": 1, "role": self.role, "id": self.identity.id, "nonce": b64(nonce),
                "network": self.network and b64(self.network["id"])}

    def prove(self, data):
        mac = hmac.new(self.network["secret"], data, "sha256").digest()
        return {"mac": b64(mac), "signature": b64(self.identity.key.sign(data))}

    def check(self, data, remote_id, auth):
        mac = hmac.new(self.network["secret"], data, "sha256").digest()
        if not hmac.compare_digest(mac, unb64(auth["mac"], 32)):
            raise ProtocolError("wrong-secret", "the secret is not this network's")
        if not verify(remote_id, unb64(auth["signature"], 64), data):
            raise ProtocolError("wrong-key", "not signed by its id")

    async def expect(self, frames, wanted):
        frame = await frames.read(may_have_body=False)
        if frame is None:
            raise ProtocolError("connection-lost", f"ended before {wanted}")
        verb, fields, _ = frame
        if verb == "ERROR":
            raise ProtocolError(fields["code"], fields["message"])
        if verb != wanted:
            raise ProtocolError("unexpected-verb", f"{verb} instead of {wanted}")
        if verb == "HELLO":
            if fields["protocol"] != 1:
                raise ProtocolError("version", "another version")
            if self.network and fields.get("network") != b64(self.network["id"]):
                raise ProtocolError("wrong-network", "another network")
            if fields["role"] not in ROLES:
                raise ProtocolError("malformed", "not a role")
        return fields

    async def dial(self, host, port, peer_id=None, on_frame=ignore):
        """To a peer, or to a tracker when there is no `peer_id`."""
        try:
            return await asyncio.wait_for(self.dial_now(host, port, peer_id, on_frame), 10)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
            raise ProtocolError("peer-unreachable", f"cannot connect: {error}") from error

    async def dial_now(self, host, port, peer_id, on_frame):
        context, to_tracker = None, peer_id is None
        if self.network:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(
            host, port, limit=2 * MAX_HEADER, ssl=context, server_hostname="peer.invalid" if context else None)
        if context:
            der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            key = self.check_certificate(x509.load_der_x509_certificate(der), peer_id)
            peer_id = peer_id or key
        session = Session(reader, writer, on_frame)
        nonce = os.urandom(32)
        await session.write("HELLO", self.hello(nonce))
        theirs = await self.expect(session, "HELLO")
        session.remote_id = unb64(theirs["id"], 32)
        if peer_id and session.remote_id != peer_id:
            raise ProtocolError("wrong-key", "another id")
        if self.network:
            about = ((self.role, theirs["role"]), self.network["id"],
                     (nonce, unb64(theirs["nonce"], 32)), (self.identity.public, session.remote_id))
            auth = await self.expect(session, "AUTH")
            self.check(transcript(b"L", *about), session.remote_id, auth)
            await session.write("AUTH", self.prove(transcript(b"D", *about)))
        if to_tracker and theirs["role"] != "tracker":
            writer.close()
            raise ProtocolError("usage", "not a tracker")
        session.start()
        return session

    def check_certificate(self, certificate, peer_id):
        """Section 4, "What the dialler checks"; returns the key that the listener has."""
        key = raw_key(certificate.public_key())
        if peer_id and key != peer_id:
            raise ProtocolError("wrong-key", "the certificate has another key")
        if not peer_id and not verify(self.network["id"], certificate.signature, certificate.tbs_certificate_bytes):
            raise ProtocolError("wrong-network", "not certified by the network's key")
        return key

    async def listen(self, host, on_frame):
        context = None
        if self.network:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            with tempfile.NamedTemporaryFile() as file:
                file.write(self.identity.key.private_bytes(
                    ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption()))
                file.write(self.identity.certificate().public_bytes(ser.Encoding.PEM))
                file.flush()
                context.load_cert_chain(file.name)
        server = await asyncio.start_server(
            lambda reader, writer: self.serve(Session(reader, writer, on_frame)),
            host, 0, limit=2 * MAX_HEADER, ssl=context)
        return server.sockets[0].getsockname()[1]

    async def serve(self, session):
        try:
            await asyncio.wait_for(self.greet(session), 10)
            session.start()
        except ProtocolError as error:
            await session.write("ERROR", {"code": error.code, "message": str(error)})
            session.writer.close()
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            session.writer.close()

    async def greet(self, session):
        theirs = await self.expect(session, "HELLO")
        session.remote_id = unb64(theirs["id"], 32)
        nonce = os.urandom(32)
        await session.write("HELLO", self.hello(nonce))
        if self.network:
            about = ((theirs["role"], self.role), self.network["id"],
                     (unb64(theirs["nonce"], 32), nonce), (session.remote_id, self.identity.public))
            await session.write("AUTH", self.prove(transcript(b"L", *about)))
            auth = await self.expect(session, "AUTH")
            self.check(transcript(b"D", *about), session.remote_id, auth)
