"""Asks an issuer's Workload API as SPIFFE workloads written in Python do, and prints what came of it.

client.py stubs SOCKET            stubs that protoc made of workload.proto, plain grpcio
client.py spiffe SOCKET AUDIENCE  py-spiffe: client, X.509 source, JWT source

It waits for a line on standard input first: whoever started it has it attested by then.
"""

import json
import sys
import threading

HEADER = (("workload.spiffe.io", "true"),)


def stubs(socket):
    import grpc
    import workload_pb2 as messages
    import workload_pb2_grpc as services
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    def code(call):
        try:
            call()
        except grpc.RpcError as error:
            return error.code().name
        return "OK"

    with grpc.insecure_channel("unix:" + socket) as channel:
        api = services.SpiffeWorkloadAPIStub(channel)
        answer = next(api.FetchX509SVID(messages.X509SVIDRequest(), metadata=HEADER))
        svid = answer.svids[0]
        leaf = x509.load_der_x509_certificate(svid.x509_svid)
        key = load_der_private_key(svid.x509_svid_key, None)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        trust = next(api.FetchX509Bundles(messages.X509BundlesRequest(), metadata=HEADER))
        request = messages.JWTSVIDRequest(audience=["stubs"])
        token = api.FetchJWTSVID(request, metadata=HEADER).svids[0]

        def validate(audience):
            question = messages.ValidateJWTSVIDRequest(audience=audience, svid=token.svid)
            return api.ValidateJWTSVID(question, metadata=HEADER)

        keys = next(api.FetchJWTBundles(messages.JWTBundlesRequest(), metadata=HEADER))
        return {
            "ids": [one.spiffe_id for one in answer.svids],
            "uris": names.get_values_for_type(x509.UniformResourceIdentifier),
            "ownKey": key.public_key().public_numbers() == leaf.public_key().public_numbers(),
            "bundles": list(trust.bundles),
            "tokenOf": token.spiffe_id,
            "validated": validate("stubs").spiffe_id,
            "otherAudience": code(lambda: validate("another")),
            "jwtBundles": len(keys.bundles),
            "withoutHeader": code(lambda: next(api.FetchX509SVID(messages.X509SVIDRequest()))),
        }


def spiffe(socket, audience):
    from spiffe import JwtSource, WorkloadApiClient, X509Source

    path = "unix:" + socket
    with X509Source(socket_path=path) as source, JwtSource(socket_path=path) as tokens:
        svid = source.svid
        domain = svid.spiffe_id.trust_domain
        authorities = source.get_bundle_for_trust_domain(domain).x509_authorities
        svid.leaf.verify_directly_issued_by(next(iter(authorities)))
        token = tokens.fetch_svid(audience=[audience])
        with WorkloadApiClient(socket_path=path) as client:
            online = client.validate_jwt_svid(token.token, audience)
        keys = tokens.get_bundle_for_trust_domain(domain)
        first = svid.leaf.serial_number
        rotated = threading.Event()

        def updated():
            if source.svid.leaf.serial_number != first:
                rotated.set()

        source.subscribe_for_updates(updated)
        print(json.dumps({"first": format(first, "x")}), flush=True)
        sys.stdin.readline()
        return {
            "id": str(svid.spiffe_id),
            "authorities": len(authorities),
            "tokenOf": str(token.spiffe_id),
            "online": str(online.spiffe_id),
            "jwtAuthorities": len(keys.jwt_authorities),
            "rotated": rotated.wait(30) and format(source.svid.leaf.serial_number, "x"),
        }


if __name__ == "__main__":
    _, command, *arguments = sys.argv
    sys.stdin.readline()
    print(json.dumps({"stubs": stubs, "spiffe": spiffe}[command](*arguments)), flush=True)
