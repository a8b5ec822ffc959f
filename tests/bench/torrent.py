"""Makes a v2 torrent of a file, and moves it between two libtorrent sessions on loopback.

The time includes what any transfer needs: hashing the source once, sending, verifying, writing.
"""
import os
import sys
import time

import libtorrent as lt


def session(port):
    return lt.session({
        "listen_interfaces": "127.0.0.1:%d" % port,
        "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
        "allow_multiple_connections_per_ip": True, "in_enc_policy": 2, "out_enc_policy": 2,
        "enable_outgoing_utp": False, "enable_incoming_utp": False, "alert_mask": 0,
    })


def main(source, target):
    storage = lt.file_storage()
    lt.add_files(storage, source)
    torrent = lt.create_torrent(storage, 0, lt.create_torrent.v2_only)
    lt.set_piece_hashes(torrent, os.path.dirname(source))
    info = lt.torrent_info(lt.bdecode(lt.bencode(torrent.generate())))
    seeder, leecher = session(0), session(0)
    seeder.add_torrent({"ti": info, "save_path": os.path.dirname(source),
                        "flags": lt.torrent_flags.seed_mode})
    handle = leecher.add_torrent({"ti": info, "save_path": target})
    while not seeder.listen_port():
        time.sleep(0.005)
    handle.connect_peer(("127.0.0.1", seeder.listen_port()))
    while not handle.status().is_seeding:
        time.sleep(0.005)


main(os.path.abspath(sys.argv[1]), sys.argv[2])
