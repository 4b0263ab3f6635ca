// Command stubs SOCKET calls each RPC with plain grpc-go and what protoc makes of workload.proto.
package main

import (
	"context"
	"crypto/x509"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"swarmproof.test/clients/told"
	"swarmproof.test/workload"
)

func main() {
	told.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	told.End(stubs(ctx, os.Args[1]))
}

func stubs(ctx context.Context, socket string) (map[string]any, error) {
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	api := workload.NewSpiffeWorkloadAPIClient(connection)
	bare := ctx
	ctx = metadata.AppendToOutgoingContext(ctx, "workload.spiffe.io", "true")
	out := map[string]any{}

	svids, err := api.FetchX509SVID(ctx, &workload.X509SVIDRequest{})
	if err != nil {
		return nil, err
	}
	answer, err := svids.Recv()
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, svid := range answer.Svids {
		chain, err := x509.ParseCertificates(svid.X509Svid)
		if err != nil {
			return nil, err
		}
		roots, err := x509.ParseCertificates(svid.Bundle)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		for _, root := range roots {
			pool.AddCert(root)
		}
		any := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		if _, err := chain[0].Verify(x509.VerifyOptions{Roots: pool, KeyUsages: any}); err != nil {
			return nil, err
		}
		if _, err := x509.ParsePKCS8PrivateKey(svid.X509SvidKey); err != nil {
			return nil, err
		}
		ids = append(ids, svid.SpiffeId)
	}
	out["ids"] = ids

	bundles, err := api.FetchX509Bundles(ctx, &workload.X509BundlesRequest{})
	if err != nil {
		return nil, err
	}
	trust, err := bundles.Recv()
	if err != nil {
		return nil, err
	}
	domains := []string{}
	for domain, der := range trust.Bundles {
		if _, err := x509.ParseCertificates(der); err != nil {
			return nil, err
		}
		domains = append(domains, domain)
	}
	out["bundles"] = domains

	token, err := api.FetchJWTSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"stubs"}})
	if err != nil {
		return nil, err
	}
	out["tokenOf"] = token.Svids[0].SpiffeId
	valid, err := api.ValidateJWTSVID(ctx, &workload.ValidateJWTSVIDRequest{Audience: "stubs", Svid: token.Svids[0].Svid})
	if err != nil {
		return nil, err
	}
	out["validated"] = valid.SpiffeId
	out["audience"] = valid.Claims.AsMap()["aud"]
	_, err = api.ValidateJWTSVID(ctx, &workload.ValidateJWTSVIDRequest{Audience: "another", Svid: token.Svids[0].Svid})
	out["otherAudience"] = status.Code(err).String()

	keys, err := api.FetchJWTBundles(ctx, &workload.JWTBundlesRequest{})
	if err != nil {
		return nil, err
	}
	sets, err := keys.Recv()
	if err != nil {
		return nil, err
	}
	out["jwtBundles"] = len(sets.Bundles)

	naked, err := api.FetchX509SVID(bare, &workload.X509SVIDRequest{})
	if err == nil {
		_, err = naked.Recv()
	}
	out["withoutHeader"] = status.Code(err).String()
	return out, nil
}
