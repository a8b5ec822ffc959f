"""Section 12 of lib/wire/PROTOCOL.md: transfers, the sender's side and the receiver's."""

import asyncio
import hashlib
import json
import math
import os
import re
import shutil

from protocol import ProtocolError, b64

PIECE_SIZE = 256 * 1024
WINDOW = 8 << 20
MAX_TABLE, MAX_ENTRIES = 64 << 20, 1 << 20
SCHEMES = ["independent", "prefix"]
# After a CANCEL with one of these another try may go on.
KEEPING = {"no-space", "disk", "shutting-down", "busy", "timeout", "connection-lost", "interrupted"}


def sha256(data):
    return hashlib.sha256(data).digest()


def hashes_of(pieces, first):
    """The hash of each piece: below `first` of all bytes up to its end, from there on its own."""
    running, hashes = hashlib.sha256(), []
    for index, piece in enumerate(pieces):
        running.update(piece)
        hashes.append(running.copy().digest() if index < first else sha256(piece))
    return hashes


def manifest_id(first, size, piece_size, table, hashes):
    """`first` is the first piece that is proven by its own hash."""
    proof = "independent" if first <= 0 else "prefix" if first >= len(hashes) else f"prefix/{first}"
    head = f"p2p-manifest {proof} {size} {piece_size} {'-' if table is None else table}\n"
    return b64(sha256(head.encode() + b"".join(hashes)))


def first_independent(scheme):
    return math.inf if scheme == "prefix" else 0


def ranges_of(indexes):
    ranges = []
    for index in sorted(indexes):
        if ranges and ranges[-1][1] == index:
            ranges[-1][1] += 1
        else:
            ranges.append([index, index + 1])
    return ranges


# The sender

class Content:
    """A file, or a folder with all that is in it, as the bytes of a transfer."""

    def __init__(self, path, scheme):
        self.name, self.table, self.scheme = os.path.basename(os.path.abspath(path)), None, scheme
        if os.path.isdir(path):
            table, files = table_of(path)
            self.data, self.table = b"".join([table, *map(read_file, files)]), len(table)
        else:
            self.data = read_file(path)
        self.pieces = [self.data[at:at + PIECE_SIZE] for at in range(0, len(self.data), PIECE_SIZE)]
        self.sha256 = b64(sha256(self.data)) if self.table is None else None
        self.prove_apart_from(first_independent(scheme))

    def prove_apart_from(self, first):
        self.first, self.hashes = first, hashes_of(self.pieces, first)
        self.manifest = manifest_id(first, len(self.data), PIECE_SIZE, self.table, self.hashes)


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def table_of(root):
    """The table, and the paths of the files in its order."""
    lines, files = [], []

    def visit(relative):
        for entry in sorted(os.scandir(os.path.join(root, relative)), key=lambda found: found.name):
            path, info = relative + entry.name, entry.stat(follow_symlinks=False)
            mtime = info.st_mtime_ns // 1_000_000
            if entry.is_dir(follow_symlinks=False):
                lines.append(["folder", path, mtime])
                visit(path + "/")
            elif entry.is_file(follow_symlinks=False):
                lines.append(["file", path, mtime, info.st_size, bool(info.st_mode & 0o100)])
                files.append(entry.path)

    visit("")
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode(), files


async def send(dial, content, known, stop_after):
    """Returns the ACK that ended it, the pieces that the receiver had, and those that it was sent. `known` names
    what is offered beforehand of `manifest` and `sha256`. With `stop_after` it serves so many pieces and leaves
    when they are verified; there is no ACK then."""
    transfer, done = b64(os.urandom(16)), asyncio.get_running_loop().create_future()
    served, verified, asks = [], set(), []

    async def on_frame(session, verb, fields, _body):
        if done.done():
            return
        if verb == "GET" and (stop_after is None or len(served) < stop_after):
            served.append(fields["index"])
            await session.write("PIECE", {"transfer": transfer, "index": fields["index"]},
                                content.pieces[fields["index"]])
        elif verb == "HAVE":
            for start, end in fields["pieces"]:
                verified.update(range(start, end))
            if len(verified) == stop_after:
                done.set_result(None)
        elif verb == "ACK" and fields["state"] in ("saved", "already"):
            done.set_result(fields)
        elif verb == "ACK" and fields["state"] == "ready" and fields.get("independentFrom", math.inf) < content.first:
            asks.append(fields["independentFrom"])
            if len(asks) > 1:
                error = ProtocolError("malformed", "other hashes are asked for a second time")
                done.set_exception(error)
                about = {"transfer": transfer, "code": error.code, "message": str(error)}
                return await session.write("CANCEL", about)
            content.prove_apart_from(asks[0])
            await send_hashes(session, transfer, content, asks[0])
        elif verb in ("CANCEL", None):
            done.set_exception(ProtocolError(fields["code"], fields["message"]) if verb else session.error)

    session = await dial(on_frame)
    _, ack = await session.ask("SEND_FILE" if content.table is None else "SEND_TREE", {
        "transfer": transfer, "name": content.name, "size": len(content.data), "pieceSize": PIECE_SIZE,
        "scheme": content.scheme, "table": content.table, **{field: getattr(content, field) for field in known}})
    had = ack.get("have", [])
    if ack["state"] != "ready":
        done.set_result(ack)
    else:
        content.prove_apart_from(min(content.first, ack.get("independentFrom", math.inf)))
        await send_hashes(session, transfer, content, 0)
    ack = await asyncio.wait_for(done, 60)
    await session.leave()
    if ack and not is_about(ack, content):
        raise ProtocolError("integrity", "the receiver has other bytes")
    return ack, had, served


async def send_hashes(session, transfer, content, start):
    first = content.first
    # When others are asked for meanwhile, they go out from there on.
    while start < len(content.hashes) and content.first == first:
        end = min(start + 2048, len(content.hashes))
        if start < first < end:
            end = first
        other = start >= first and content.scheme != "independent"
        await session.write("HASHES", {"transfer": transfer, "start": start, "scheme": "independent" if other else None},
                            b"".join(content.hashes[start:end]))
        start = end
    if content.first == first:
        await session.write("HASHES", {"transfer": transfer, "start": start, "last": True,
                                       "size": len(content.data), "sha256": content.sha256})


def is_about(ack, content):
    if "manifest" in ack:
        return ack["manifest"] == content.manifest
    return ack["state"] == "already" and ack["sha256"] == content.sha256


# The receiver

class Incoming:
    """Something that is received, over all connections: what was verified is kept. With `apart` it asks for the
    pieces from that one on by their own hashes."""

    def __init__(self, apart=None):
        self.pieces, self.apart = {}, apart

    def start(self, session, offer):
        self.session, self.offer, self.early = session, offer, {}
        self.hashes, self.last, self.asked, self.got, self.unsaid = [], None, set(), [], 0
        self.first, self.is_apart, self.awaited = first_independent(offer["scheme"]), False, None
        if self.first and self.apart is not None:
            self.first, self.is_apart = self.apart, True
        elif self.first and self.pieces and offer.get("size") is not None:
            # As after a restart: the bytes are there, and no running hash is.
            self.first, self.is_apart = self.run, True

    @property
    def run(self):
        """Pieces from the first on that are there."""
        return next(index for index in range(len(self.pieces) + 1) if index not in self.pieces)

    def hash_of(self, index, piece):
        if index >= self.first:
            return sha256(piece)
        return hashes_of([*(self.pieces[before] for before in range(index)), piece], self.first)[index]

    @property
    def size(self):
        return self.last["size"] if self.last else self.offer.get("size")

    def add_hashes(self, fields, body):
        """The piece from which on other hashes have to be asked for, if they have."""
        new = [body[at:at + 32] for at in range(0, len(body), 32)]
        scheme = fields.get("scheme", self.offer["scheme"])
        if scheme not in SCHEMES:
            raise ProtocolError("invalid", f"a scheme other than {', '.join(SCHEMES)}")
        if self.awaited is not None and (scheme, fields["start"]) != ("independent", self.awaited):
            return None
        self.awaited = None
        if fields["start"] != len(self.hashes) or len(body) % 32:
            raise ProtocolError("malformed", "hashes that leave a gap")
        if new and scheme == "independent" and fields["start"] < self.first:
            self.first = fields["start"]
        if new and scheme == "prefix" and fields["start"] + len(new) > self.first:
            raise ProtocolError("malformed", "hashes of all before, where they are independent")
        for index, piece_hash in enumerate(new, len(self.hashes)):
            if index in self.pieces and self.hash_of(index, self.pieces[index]) != piece_hash:
                if self.head <= index < self.first:
                    self.hashes += new
                    return self.compare_apart(index)
                del self.pieces[index]
                if index < self.head:
                    self.pieces.clear()
        self.hashes += new
        if fields.get("last"):
            self.finish_hashes(fields)
        return None

    def compare_apart(self, index):
        """It has changed before the end of that piece: which of those behind have, their own hashes say."""
        del self.hashes[index:]
        self.first, self.is_apart, self.awaited = index, True, index
        self.asked -= self.early.keys()
        self.early.clear()
        return index

    def finish_hashes(self, fields):
        self.last, offer = fields, self.offer
        if math.ceil(fields["size"] / offer["pieceSize"]) != len(self.hashes):
            raise ProtocolError("malformed", "a size that does not fit the hashes")
        stated = {"size": fields["size"], "sha256": fields.get("sha256")}
        if not self.is_apart:
            stated["manifest"] = self.manifest
        if any(None not in (value, offer.get(field)) and offer[field] != value for field, value in stated.items()):
            raise ProtocolError("source-changed", "not what was offered")

    @property
    def manifest(self):
        return manifest_id(self.first, self.size, self.offer["pieceSize"], self.offer["table"], self.hashes)

    @property
    def head(self):
        """Pieces with bytes of the table."""
        return math.ceil((self.offer["table"] or 0) / self.offer["pieceSize"])

    def wanted(self):
        """The pieces to ask for now."""
        end = len(self.hashes) - (self.size is None)
        if any(index not in self.pieces for index in range(self.head)):
            end = min(end, self.head)
        room = max(2, WINDOW // self.offer["pieceSize"]) - len(self.asked)
        missing = (index for index in range(end) if index not in self.pieces and index not in self.asked)
        return [index for index, _ in zip(missing, range(room))]

    def take(self, index, body):
        """Bytes that have become right."""
        size = self.offer["pieceSize"]
        if index not in self.asked:
            raise ProtocolError("malformed", "a piece that nobody asked for")
        if len(body) != (size if self.size is None else min(size, self.size - index * size)):
            raise ProtocolError("integrity", "a piece of a wrong length")
        if index < self.first and self.run < index:
            self.early[index] = body
            return 0
        self.asked.remove(index)
        # Its hash is asked for anew: it comes again.
        if index >= len(self.hashes):
            return 0
        if self.hash_of(index, body) != self.hashes[index]:
            return 0
        self.pieces[index] = body
        self.got.append(index)
        after = self.early.pop(index + 1, None)
        return len(body) + (self.take(index + 1, after) if after is not None else 0)

    @property
    def is_complete(self):
        return self.last is not None and len(self.pieces) == len(self.hashes)

    def data(self):
        data = b"".join(self.pieces[index] for index in range(len(self.hashes)))
        if self.last.get("sha256") not in (None, b64(sha256(data))):
            raise ProtocolError("integrity", "the SHA-256 is wrong")
        return data


class Inbox:
    """The receiving side of all transfers. With `break_after` it cuts the first connection after so many pieces,
    with `stop_after` it asks for no more than so many of what it has none of; `apart` is for each Incoming. `say` hears of offers that it took, and of what it has saved."""

    def __init__(self, folder, say, break_after=None, stop_after=None, apart=None):
        self.folder, self.say, self.apart = folder, say, apart
        self.break_after, self.stop_after = break_after, stop_after
        self.unfinished, self.under_way, self.finished, self.contents = {}, {}, {}, {}
        os.makedirs(folder, exist_ok=True)

    async def on_frame(self, session, verb, fields, body):
        """False for what is no business of a receiver."""
        if verb in ("SEND_FILE", "SEND_TREE"):
            offer = fields if verb == "SEND_TREE" else {**fields, "table": None}
            try:
                await self.answer(session, offer)
            except ProtocolError as error:
                await session.write("ERROR", {"re": fields["seq"], "code": error.code, "message": str(error)})
            return True
        if verb not in ("HASHES", "PIECE", "CANCEL"):
            return False
        key = (session.remote_id, fields["transfer"])
        incoming = self.under_way.get(key)
        if incoming is None or incoming.session is not session:
            return True
        try:
            await self.go_on(incoming, verb, fields, body)
        except ProtocolError as error:
            del self.under_way[key]
            if error.code not in KEEPING:
                del self.unfinished[subject_of(session, incoming.offer)]
            self.say("failed", code=error.code)
            if verb != "CANCEL":
                about = {"transfer": fields["transfer"], "code": error.code, "message": str(error)}
                await session.write("CANCEL", about)
        return True

    async def answer(self, session, offer):
        key, table = (session.remote_id, offer["transfer"]), offer["table"] or 0
        ack = {"re": offer["seq"], "transfer": offer["transfer"]}
        if offer["scheme"] not in SCHEMES:
            raise ProtocolError("invalid", f"a scheme other than {', '.join(SCHEMES)}")
        done = self.finished.get(key)
        if done:
            return await session.write("ACK", {**ack, "state": "saved", **done})
        same = self.find(session, offer, offer)
        if same:
            known = next(field for field in ("manifest", "sha256") if offer.get(field))
            self.say("received", state="already", name=same["name"], got=[], by=known)
            about = {"name": same["name"], known: offer[known]}
            return await session.write("ACK", {**ack, "state": "already", **about})
        if not 0 <= table <= min(MAX_TABLE, offer.get("size", table)):
            raise ProtocolError("invalid", "a table that does not fit")
        incoming = self.unfinished.setdefault(subject_of(session, offer), Incoming(self.apart))
        incoming.start(session, offer)
        if incoming.pieces:
            self.stop_after = None
        self.under_way[key] = incoming
        have = ranges_of(incoming.pieces)
        self.say("accepted", have=have)
        first = incoming.first if incoming.is_apart else None
        await session.write("ACK", {**ack, "state": "ready", "have": have, "independentFrom": first})

    async def go_on(self, incoming, verb, fields, body):
        session, transfer = incoming.session, fields["transfer"]
        if verb == "CANCEL":
            raise ProtocolError(fields["code"], fields["message"])
        if verb == "HASHES":
            first = incoming.add_hashes(fields, body)
            if first is not None:
                await session.write("ACK", {"transfer": transfer, "state": "ready", "independentFrom": first,
                                            "have": ranges_of(incoming.pieces)})
        else:
            incoming.unsaid += incoming.take(fields["index"], body)
            if len(incoming.got) == self.break_after:
                # Frames that have come already are not taken any more.
                self.break_after = incoming.session = None
                session.writer.transport.abort()
                return
        if incoming.unsaid >= WINDOW:
            incoming.unsaid = 0
            await session.write("HAVE", {"transfer": transfer, "pieces": ranges_of(incoming.pieces)})
        for index in incoming.wanted():
            if self.stop_after == len(incoming.got) + len(incoming.asked):
                break
            incoming.asked.add(index)
            await session.write("GET", {"transfer": transfer, "index": index})
        if self.stop_after == len(incoming.got):
            self.say("stopped")
        if incoming.is_complete:
            await self.finish(incoming)

    async def finish(self, incoming):
        session, offer, manifest = incoming.session, incoming.offer, incoming.manifest
        data = incoming.data()
        known = {"manifest": manifest, "sha256": b64(sha256(data)) if offer["table"] is None else None}
        saved = self.find(session, offer, known)
        state = "already" if saved else "saved"
        if not saved:
            name = self.save(offer, data)
            saved = {"name": name, "state": state_of(os.path.join(self.folder, name))}
        for content in contents_of(session, offer, known):
            self.contents[content] = saved
        key = (session.remote_id, offer["transfer"])
        del self.under_way[key], self.unfinished[subject_of(session, offer)]
        about = self.finished[key] = {"name": saved["name"], "manifest": manifest}
        self.say("received", state=state, name=saved["name"], got=sorted(incoming.got))
        await session.write("ACK", {"transfer": offer["transfer"], "state": state, **about})

    def find(self, session, offer, known):
        """What the same sender sent under that name with that `manifest` or `sha256`, while it is there."""
        for content in contents_of(session, offer, known):
            saved = self.contents.get(content)
            if saved and state_of(os.path.join(self.folder, saved["name"])) == saved["state"]:
                return saved
        return None

    def save(self, offer, data):
        """Makes it durable under a free name, and returns that."""
        partial = os.path.join(self.folder, f".{os.urandom(8).hex()}")
        try:
            if offer["table"] is not None:
                os.mkdir(partial, 0o700)
                write_tree(partial, data, offer["table"])
            else:
                write_file(partial, data, 0o644)
            name = self.publish(partial, safe_name(offer["name"]))
        finally:
            if os.path.isdir(partial):
                shutil.rmtree(partial)
            elif os.path.exists(partial):
                os.unlink(partial)
        sync(self.folder)
        return name

    def publish(self, partial, wanted):
        stem, extension = os.path.splitext(wanted)
        for number in range(1000):
            name = f"{stem} ({number}){extension}" if number else wanted
            try:
                if os.path.isdir(partial):
                    os.mkdir(os.path.join(self.folder, name))
                    os.rename(partial, os.path.join(self.folder, name))
                else:
                    os.link(partial, os.path.join(self.folder, name))
                return name
            except FileExistsError:
                pass
        raise ProtocolError("disk", f"no name is free for {wanted}")


def subject_of(session, offer):
    """What a later offer has to agree in to go on with this one."""
    same = [offer.get(field) for field in ("name", "size", "pieceSize", "table")]
    return (session.remote_id, *same, offer["transfer"] if offer.get("size") is None else None)


def contents_of(session, offer, known):
    return [(session.remote_id, offer["name"], field, known[field])
            for field in ("manifest", "sha256") if known.get(field)]


def state_of(path):
    """What tells whether something is as it was saved; None when it is not there."""
    try:
        info = os.lstat(path)
    except OSError:
        return None
    if not os.path.isdir(path):
        return info.st_ino, info.st_size, info.st_mtime_ns
    return info.st_ino, table_of(path)[0]


# Trees, the receiver's side

def safe_name(name):
    """Stricter than it has to be."""
    return re.sub(r"^\.", "_", safe_component(re.split(r"[/\\]", name)[-1]))


def safe_component(name):
    safe = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "_", name).rstrip(". ")
    return safe if safe.strip(".") else "unnamed"


def plan_tree(data, table):
    """(kind, components, mtime, size, executable) for each line, checked."""
    try:
        lines = data[:table].decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ProtocolError("malformed", "a table that is not UTF-8") from error
    if lines.pop() != "" or len(lines) > MAX_ENTRIES:
        raise ProtocolError("malformed", "a table that is cut short, or has too many lines")
    plan, kinds, names, taken, end = [], {"": "folder"}, {"": ()}, set(), table
    for line in lines:
        kind, path, mtime, size, executable = parse_entry(line)
        components = path.split("/")
        if any(name in ("", ".", "..") for name in components) or "\0" in path \
                or len(components) > 100 or len(path.encode()) > 4096:
            raise ProtocolError("refused", f"{path!r} leads out of the tree, or is too deep")
        parent = "/".join(components[:-1])
        if path in kinds or kinds.get(parent) == "file":
            raise ProtocolError("refused", f"{path!r} comes twice, or is a file and a folder")
        if parent not in kinds:
            raise ProtocolError("malformed", f"{path!r} stands before its folder")
        kinds[path], names[path] = kind, (*names[parent], safe_component(components[-1]))
        if names[path] in taken:
            raise ProtocolError("refused", f"{path!r} has the name of another")
        taken.add(names[path])
        plan.append((kind, names[path], mtime, size, executable))
        end += size
    if end != len(data):
        raise ProtocolError("malformed", "a table that does not fit the size")
    return plan


def parse_entry(line):
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, list) or len(entry) < {"folder": 3, "file": 5}.get(entry[0] if entry else None, 6):
        raise ProtocolError("malformed", "a line that is no entry")
    kind, path, mtime = entry[:3]
    size, executable = entry[3:5] if kind == "file" else (0, False)
    types = [type(value) for value in (path, mtime, size, executable)]
    if types != [str, int, int, bool] or size < 0:
        raise ProtocolError("malformed", "an entry with a wrong field")
    return kind, path, mtime, size, executable


def write_tree(root, data, table):
    plan, at = plan_tree(data, table), table
    for kind, components, mtime, size, executable in plan:
        path = os.path.join(root, *components)
        if kind == "folder":
            os.mkdir(path)
        else:
            write_file(path, data[at:at + size], 0o755 if executable else 0o644, mtime)
            at += size
    # From the inside out: what is made in a folder changes its time.
    for kind, components, mtime, _, _ in reversed(plan):
        if kind == "folder":
            path = os.path.join(root, *components)
            set_mtime(path, mtime)
            sync(path)
    os.chmod(root, 0o755)
    sync(root)


def set_mtime(path, mtime):
    os.utime(path, ns=(mtime * 1_000_000, mtime * 1_000_000))


def write_file(path, data, mode, mtime=None):
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.chmod(path, mode)
        if mtime is not None:
            set_mtime(path, mtime)
        os.fsync(file.fileno())


def sync(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
