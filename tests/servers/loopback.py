"""Keeps a server on 127.0.0.1 that would listen on every address of the machine and has no option for it."""

import socket

import grpc
from grpc import aio

LOCAL = "127.0.0.1"


def only():
    """Changes the address in every later bind of this process; the port stays."""
    socket.socket.bind = _binding(socket.socket.bind)
    grpc.server = _serving(grpc.server)
    aio.server = _serving(aio.server)


def _binding(bind):
    def local(self, address):
        if self.family == socket.AF_INET and address[0] in ("", "0.0.0.0"):
            address = (LOCAL, *address[1:])
        return bind(self, address)

    return local


def _serving(make):
    def server(*args, **kwargs):
        made = make(*args, **kwargs)
        add = made.add_insecure_port
        made.add_insecure_port = lambda address: add(f"{LOCAL}:{address.rpartition(':')[2]}")
        return made

    return server
