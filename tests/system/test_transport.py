"""The way to the collector: TLS 1.3 and nothing older, and a certificate that it knows, before a byte of PROTOCOL.collector."""
import contextlib
import socket
import ssl

import pytest


@contextlib.contextmanager
def connected(lab, pair, **limits):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, value in limits.items():
        setattr(context, name, value)
    if pair:
        context.load_cert_chain(f"{pair}.crt", f"{pair}.key")
    with socket.create_connection(("127.0.0.1", lab.port("collector")), 20) as plain, context.wrap_socket(plain) as link:
        yield link


def test_a_recorder_is_spoken_to(lab):
    with connected(lab, lab.path("state", "recorder", "client")) as link:
        assert link.version() == "TLSv1.3"
        link.settimeout(0.5)
        with pytest.raises(TimeoutError):   # it waits for our HELLO
            link.recv(1)


def test_no_older_version(lab):
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"), \
            connected(lab, lab.path("state", "recorder", "client"), maximum_version=ssl.TLSVersion.TLSv1_2):
        pass


@pytest.mark.parametrize("pair", [None, "collector"])
def test_no_stranger(lab, pair):
    """Without a certificate, and with one that no recorder section names: turned away in the handshake, unheard."""
    with pytest.raises(ssl.SSLError, match="ALERT"), connected(lab, pair and f"{lab.store('collector')}/{pair}") as link:
        link.recv(1)
