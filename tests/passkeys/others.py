"""Passkeys by programs of other people: an authenticator (soft-webauthn) and a judge (py_webauthn).

Reads a question in JSON from each line of standard input, and answers each with a line of JSON. All
bytes are base64url without padding, as in the forms.
"""

import json
import sys

from soft_webauthn import SoftWebauthnDevice
from webauthn import (
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    parse_authentication_options_json,
    parse_registration_options_json,
)
from webauthn.helpers.exceptions import WebAuthnException

DEVICE = SoftWebauthnDevice()


def as_browser(options):
    """Options as `navigator.credentials` is given them: bytes where JSON has text."""
    options = dict(options, challenge=base64url_to_bytes(options["challenge"]))
    if "user" in options:
        options["user"] = dict(options["user"], id=base64url_to_bytes(options["user"]["id"]))
    return {"publicKey": options}


def make(question):
    """A new passkey in the device of soft-webauthn."""
    made = DEVICE.create(as_browser(question["options"]), question["origin"])["response"]
    return {
        "client": bytes_to_base64url(made["clientDataJSON"]),
        "attestation": bytes_to_base64url(made["attestationObject"]),
    }


def use(question):
    """Its use."""
    used = DEVICE.get(as_browser(question["options"]), question["origin"])
    said = used["response"]
    return {
        "client": bytes_to_base64url(said["clientDataJSON"]),
        "data": bytes_to_base64url(said["authenticatorData"]),
        "signature": bytes_to_base64url(said["signature"]),
        "id": bytes_to_base64url(used["rawId"]),
        "user": bytes_to_base64url(said["userHandle"]),
    }


def parsed(question):
    """Options as py_webauthn writes them after it has read them."""
    options = question["options"]
    parse = parse_registration_options_json if "user" in options else parse_authentication_options_json
    return json.loads(options_to_json(parse(options)))


def credential(fields, response):
    return {
        "id": fields["id"],
        "rawId": fields["id"],
        "type": "public-key",
        "response": dict(response, clientDataJSON=fields["client"]),
    }


def judge_making(question):
    """What py_webauthn says of a new passkey."""
    fields, options = question["fields"], question["options"]
    verified = verify_registration_response(
        credential=credential(fields, {"attestationObject": fields["attestation"]}),
        expected_challenge=base64url_to_bytes(options["challenge"]),
        expected_rp_id=options["rp"]["id"],
        expected_origin=question["origin"],
    )
    return {
        "id": bytes_to_base64url(verified.credential_id),
        "key": bytes_to_base64url(verified.credential_public_key),
        "count": verified.sign_count,
        "verified": verified.user_verified,
        "synced": verified.credential_device_type == "multi_device",
    }


def judge_using(question):
    """What it says of the use of one that is kept."""
    fields, options, kept = question["fields"], question["options"], question["kept"]
    response = {"authenticatorData": fields["data"], "signature": fields["signature"]}
    verified = verify_authentication_response(
        credential=credential(fields, response),
        expected_challenge=base64url_to_bytes(options["challenge"]),
        expected_rp_id=options["rpId"],
        expected_origin=question["origin"],
        credential_public_key=base64url_to_bytes(kept["key"]),
        credential_current_sign_count=kept["count"],
        require_user_verification=options["userVerification"] == "required",
    )
    return {"id": bytes_to_base64url(verified.credential_id), "count": verified.new_sign_count}


ACTS = {act.__name__: act for act in (make, use, parsed, judge_making, judge_using)}

for line in sys.stdin:
    question = json.loads(line)
    try:
        answer = ACTS[question["act"]](question)
    except WebAuthnException as error:
        answer = {"refused": str(error)}
    print(json.dumps(answer), flush=True)
