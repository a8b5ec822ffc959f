"""One host of a BitTorrent swarm: a seeder that makes a torrent of a file, or somebody who wants it.

Arguments: the file, or the folder to load into; the torrent's path; the port; the addresses of the others, which
stand for a tracker. Prints `ready` when it listens, and `done` when it has everything; begins when a line comes.
"""
import os
import sys
import time

import libtorrent as lt


def main(place, path, port, others):
    session = lt.session({
        "listen_interfaces": "0.0.0.0:%d" % port,
        "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
        "in_enc_policy": 2, "out_enc_policy": 2,
        "enable_outgoing_utp": False, "enable_incoming_utp": False, "alert_mask": 0,
    })
    is_seeder = os.path.isfile(place)
    if is_seeder:
        storage = lt.file_storage()
        lt.add_files(storage, place)
        torrent = lt.create_torrent(storage, 64 * 1024, lt.create_torrent.v2_only)
        lt.set_piece_hashes(torrent, os.path.dirname(place))
        with open(path, "wb") as file:
            file.write(lt.bencode(torrent.generate()))
    while not session.listen_port():
        time.sleep(0.005)
    print("ready", flush=True)
    sys.stdin.readline()
    with open(path, "rb") as file:
        info = lt.torrent_info(lt.bdecode(file.read()))
    if is_seeder:
        given = {"ti": info, "save_path": os.path.dirname(place), "flags": lt.torrent_flags.seed_mode}
    else:
        given = {"ti": info, "save_path": place}
    handle = session.add_torrent(given)
    for other in others:
        handle.connect_peer((other, port))
    while not handle.status().is_seeding:
        time.sleep(0.01)
    print("done", handle.status().total_payload_upload, flush=True)
    # Whoever has it serves it, until everybody does.
    sys.stdin.readline()
    print("sent", handle.status().total_payload_upload, flush=True)


main(os.path.abspath(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:])
