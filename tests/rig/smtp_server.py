"""A mail server for the tests: real SMTP with STARTTLS or TLS and AUTH, every mail kept as a file.

    smtp_server.py FOLDER [OPTIONS AS JSON]

Prints one JSON line when it listens ({"port", "ca"}: `ca` is the certificate authority it made for
itself) and one for each attempt ({"mail": PATH or null, "code", "from", "to", "tls", "user"}).
"""

import asyncio
import datetime
import ipaddress
import json
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

OPTIONS = {
    "tls": "starttls",  # starttls (and refuse mail before it), implicit, or none
    "user": None,  # with a password: AUTH is demanded
    "password": None,
    "refuse": [],  # codes given to the first attempts instead of taking the mail: [451, 550]
    "refuse_always": None,  # a code for every attempt
    "silent": False,  # accept the connection and never say a word
}


def say(line):
    print(json.dumps(line), flush=True)


def make_certificates(folder):
    """A certificate authority and a leaf for localhost: a client must not accept the one as the other."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def build(subject, issuer, key, signer, extensions):
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    ca_path, chain_path = folder / "ca.pem", folder / "server.pem"
    ca_path.write_bytes(
        build("Driftline test authority", "Driftline test authority", authority, authority,
              [(x509.BasicConstraints(ca=True, path_length=0), True)])
    )
    chain_path.write_bytes(
        leaf.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                           serialization.NoEncryption())
        + build("localhost", "Driftline test authority", leaf, authority,
                [(x509.BasicConstraints(ca=False, path_length=None), True), (names, False)])
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain_path)
    return ca_path, context


class Mailbox:
    """Keeps what arrives, or refuses it as the options say."""

    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.refusals, self.kept = list(options["refuse"]), 0

    async def handle_DATA(self, server, session, envelope):
        code = self.options["refuse_always"] or (self.refusals.pop(0) if self.refusals else 250)
        path = None
        if code == 250:
            path = self.folder / f"{self.kept:04}.eml"
            path.write_bytes(envelope.original_content)
            self.kept += 1
        say({
            "mail": str(path) if path else None,
            "code": code,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": server.transport.get_extra_info("sslcontext") is not None,
            "user": session.auth_data,
        })
        return f"{code} {'kept' if path else 'refused by the test'}"


def authenticator(options):
    def check(server, session, envelope, mechanism, data):
        user, password = data.login.decode(), data.password.decode()
        if (user, password) == (options["user"], options["password"]):
            return AuthResult(success=True, auth_data=user)
        say({"mail": None, "code": 535, "from": None, "to": [], "tls": True, "user": user})
        return AuthResult(success=False, handled=False)

    return check


async def main(folder, options):
    folder = pathlib.Path(folder)
    ca_path, context = make_certificates(folder)
    mailbox, wants_user = Mailbox(folder, options), options["user"] is not None
    starttls = options["tls"] == "starttls"

    async def say_nothing(reader, _writer):
        await reader.read()

    def session():
        return SMTP(
            mailbox,
            tls_context=context if starttls else None,
            require_starttls=starttls,
            auth_required=wants_user,
            auth_require_tls=starttls,
            authenticator=authenticator(options) if wants_user else None,
        )

    if options["silent"]:
        server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    else:
        implicit = context if options["tls"] == "implicit" else None
        loop = asyncio.get_running_loop()
        server = await loop.create_server(session, "127.0.0.1", 0, ssl=implicit)
    say({"port": server.sockets[0].getsockname()[1], "ca": str(ca_path)})
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], OPTIONS | json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}")))
