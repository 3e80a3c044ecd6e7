"""Signs a delivery as the Standard Webhooks specification says: {"secret", "id", "timestamp", "body"} to {"signature"}."""

import base64
import hashlib
import hmac
import json
import sys

from webhook_server import key_of

if __name__ == "__main__":
    case = json.load(sys.stdin)
    signed = f"{case['id']}.{case['timestamp']}.{case['body']}".encode()
    digest = hmac.new(key_of(case["secret"]), signed, hashlib.sha256).digest()
    print(json.dumps({"signature": "v1," + base64.b64encode(digest).decode()}))
