"""cbor_peer.py FILE: reads values in hexadecimal, one a line, and prints those again that are in CBOR's deterministic form and have nothing in them that the
tower link does not use. What is taken is decided by cbor2 alone."""

import sys

import cbor2


def is_used(value, depth=0):
    if depth > 8:
        return False
    if isinstance(value, bool) or value is None or isinstance(value, (bytes, str)):
        return True
    if isinstance(value, int):
        return -2**63 <= value < 2**63
    if isinstance(value, (list, tuple)):
        return all(is_used(one, depth + 1) for one in value)
    if isinstance(value, dict):
        return all(type(key) is int and is_used(key, depth + 1) and is_used(one, depth + 1) for key, one in value.items())
    return False


def in_order(value):
    """With the keys of maps in the order of RFC 8949; what cbor2 calls canonical is that of RFC 7049, shorter ones first."""
    if isinstance(value, (list, tuple)):
        return [in_order(one) for one in value]
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value, key=cbor2.dumps)}
    return value


for line in open(sys.argv[1]):
    data = bytes.fromhex(line.strip())
    try:
        value = cbor2.loads(data)
        if is_used(value) and cbor2.dumps(in_order(value)) == data:
            print(data.hex())
    except Exception:
        pass
