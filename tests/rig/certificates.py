"""Certificates for a server of the tests: certificates.py FOLDER

Writes ca.pem, the certificate of an authority; server.pem, key and certificate of 127.0.0.1 that it
signed; and stranger.pem, the certificate of an authority that signed nothing here.
"""

import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, issuer_key, is_authority):
    builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
    builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def authority(subject):
    key = ec.generate_private_key(ec.SECP256R1())
    return key, certificate(subject, key, subject, key, True)


folder = pathlib.Path(sys.argv[1])
authority_key, authority_certificate = authority("tests")
key = ec.generate_private_key(ec.SECP256R1())
(folder / "ca.pem").write_bytes(authority_certificate)
(folder / "stranger.pem").write_bytes(authority("stranger")[1])
(folder / "server.pem").write_bytes(
    key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                      serialization.NoEncryption())
    + certificate("broker", key, "tests", authority_key, False))
