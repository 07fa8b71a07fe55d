#!/usr/bin/env python3
"""A DNS server that does what a script says: for what no well-behaved server can be made to do.

usage: dns_server.py ZONE.json [--bind ADDRESS] [--port PORT]

Answers over UDP and TCP on one port and prints "ready PORT". ZONE.json is read for each question, so a test changes it
by replacing the file. Keys are names in lower case (behind "TYPE " for one type alone, such as "AAAA api.test"):

    {"api.test": {"A": ["10.0.0.1"], "AAAA": ["2001:db8::1"], "ttl": 5},
     "AAAA api.test": {"fail": "drop"},
     "_http._tcp.api.test": {"SRV": [[10, 5, 8080, "web.test"]]},
     "www.test": {"CNAME": "api.test"},
     "*": {"fail": "servfail"}}

A name that is not there does not exist. "fail": servfail, refused, nxdomain, drop (no answer), drop_first (none to the
first question of this name and type), garbage, cut (half of the message), question (the question back), wrong_id,
truncate (over UDP: nothing but the sign to come by TCP), truncate_and_hang_up (and TCP closes).
With ZONE.json.log present each question is appended to it: "udp A api.test".
"""
import argparse
import ipaddress
import json
import os
import socket
import struct
import threading

TYPES = {1: "A", 28: "AAAA", 33: "SRV", 5: "CNAME"}
NUMBERS = {name: number for number, name in TYPES.items()}
UDP_ROOM = 512


def name_bytes(name):
    labels = [label for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode("latin-1") for label in labels) + b"\0"


def read_question(message):
    """(name, type, end of the question), or None."""
    labels, at = [], 12
    while at < len(message) and message[at] != 0:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("latin-1"))
        at += 1 + message[at]
    if at + 5 > len(message):
        return None
    return ".".join(labels).lower(), struct.unpack("!H", message[at + 1 : at + 3])[0], at + 5


def wants_extension(message, end):
    """The datagram size of an EDNS record, or None."""
    if struct.unpack("!H", message[10:12])[0] == 0 or message[end : end + 3] != b"\0\0\x29":
        return None
    return struct.unpack("!H", message[end + 3 : end + 5])[0]


class Server:
    def __init__(self, zone_path):
        self.zone_path, self.asked, self.lock = zone_path, set(), threading.Lock()

    def zone(self):
        with open(self.zone_path, encoding="utf-8") as file:
            return json.load(file)

    def note(self, transport, kind, name):
        log = self.zone_path + ".log"
        if os.path.exists(log):
            with self.lock, open(log, "a", encoding="utf-8") as file:
                file.write(f"{transport} {kind} {name}\n")

    def records(self, zone, name, kind):
        """The records of an answer, aliases first, or None where there is no such name."""
        found = []
        for _ in range(8):
            entry = zone.get(f"{kind} {name}", zone.get(name))
            if entry is None:
                return found or None
            ttl = entry.get("ttl", 1)
            if "CNAME" in entry:
                found.append((name, "CNAME", ttl, name_bytes(entry["CNAME"])))
                name = entry["CNAME"]
                continue
            for value in entry.get(kind, []):
                if kind == "SRV":
                    data = struct.pack("!HHH", *value[:3]) + name_bytes(value[3])
                else:
                    data = ipaddress.ip_address(value).packed
                found.append((name, kind, ttl, data))
            return found
        return found

    def answer(self, message, transport):
        """What to send for one message: bytes; b"" to hang up; None for nothing."""
        question = read_question(message)
        if question is None:
            return None
        name, number, end = question
        kind = TYPES.get(number, str(number))
        self.note(transport, kind, name)
        zone = self.zone()
        entry = zone.get(f"{kind} {name}", zone.get(name, zone.get("*", {})))
        fail = entry.get("fail")
        if fail == "drop" or (fail == "drop_first" and (name, kind) not in self.asked):
            self.asked.add((name, kind))
            return None
        codes = {"servfail": 2, "nxdomain": 3, "refused": 5}
        if fail in codes:
            return self.message(message, end, codes[fail], [])
        if fail == "garbage":
            return message[:2] + b"\x81\x80" + b"\xff" * 40
        if fail == "question":
            return message
        records = self.records(zone, name, kind)
        reply = self.message(message, end, 3 if records is None else 0, records or [])
        if fail == "cut":
            return reply[: len(reply) // 2]
        if fail == "wrong_id":
            return bytes([reply[0] ^ 0xFF]) + reply[1:]
        if transport == "tcp":
            return b"" if fail == "truncate_and_hang_up" else reply
        room = wants_extension(message, end) or UDP_ROOM
        if fail in ("truncate", "truncate_and_hang_up") or len(reply) > room:
            return self.message(message, end, 0, [], truncated=True)
        return reply

    @staticmethod
    def message(question, end, code, records, truncated=False):
        flags = 0x8180 | (0x0200 if truncated else 0) | code
        extension = b"\0\0\x29\x04\xd0" + b"\0" * 6 if wants_extension(question, end) else b""
        head = question[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 1 if extension else 0)
        body = b""
        for owner, kind, ttl, data in records:
            body += name_bytes(owner) + struct.pack("!HHIH", NUMBERS[kind], 1, ttl, len(data)) + data
        return head + question[12:end] + body + extension

    def serve_udp(self, udp):
        while True:
            message, peer = udp.recvfrom(4096)
            reply = self.answer(message, "udp")
            if reply:
                udp.sendto(reply, peer)

    def serve_tcp(self, listener):
        while True:
            threading.Thread(target=self.serve_stream, args=(listener.accept()[0],), daemon=True).start()

    def serve_stream(self, stream):
        with stream, stream.makefile("rb") as reader:
            while len(head := reader.read(2)) == 2:
                reply = self.answer(reader.read(struct.unpack("!H", head)[0]), "tcp")
                if reply == b"":
                    return
                if reply is not None:
                    stream.sendall(struct.pack("!H", len(reply)) + reply)


def open_pair(address, port):
    """A UDP and a TCP socket on the same port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(100):
        tcp = socket.socket(family, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            tcp.bind((address, port))
            udp.bind((address, tcp.getsockname()[1]))
        except OSError:
            tcp.close()
            udp.close()
            if port != 0:
                raise
            continue
        tcp.listen(16)
        return udp, tcp
    raise SystemExit("no port is free for both UDP and TCP")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zone")
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    server = Server(arguments.zone)
    udp, tcp = open_pair(arguments.bind, arguments.port)
    threading.Thread(target=server.serve_tcp, args=(tcp,), daemon=True).start()
    print("ready", tcp.getsockname()[1], flush=True)
    server.serve_udp(udp)


if __name__ == "__main__":
    main()
