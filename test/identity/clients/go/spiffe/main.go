// Command spiffe SOCKET AUDIENCE keeps sources of go-spiffe, does mTLS with them, and takes tokens.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"swarmproof.test/clients/told"
)

func main() {
	told.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	told.End(spiffe(ctx, os.Args[1], os.Args[2]))
}

// spiffe says its first serial in between. When it is told to go on, the issuer has been made to issue
// anew, and the source must come to have that SVID.
func spiffe(ctx context.Context, socket, audience string) (map[string]any, error) {
	address := workloadapi.WithClientOptions(workloadapi.WithAddr("unix://" + socket))
	source, err := workloadapi.NewX509Source(ctx, address)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	svid, err := source.GetX509SVID()
	if err != nil {
		return nil, err
	}
	out := map[string]any{"id": svid.ID.String()}
	if _, err := source.GetX509BundleForTrustDomain(svid.ID.TrustDomain()); err != nil {
		return nil, err
	}
	if _, _, err := x509svid.Verify(svid.Certificates, source); err != nil {
		return nil, err
	}

	out["mtls"], err = handshake(source, tlsconfig.AuthorizeID(svid.ID))
	if err != nil {
		return nil, err
	}
	stranger := spiffeid.RequireFromPath(svid.ID.TrustDomain(), "/somebody/else")
	if _, err := handshake(source, tlsconfig.AuthorizeID(stranger)); err == nil {
		return nil, errors.New("go-spiffe took our SVID for another's")
	}

	tokens, err := workloadapi.NewJWTSource(ctx, address)
	if err != nil {
		return nil, err
	}
	defer tokens.Close()
	token, err := tokens.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience})
	if err != nil {
		return nil, err
	}
	out["tokenOf"] = token.ID.String()
	keys, err := tokens.GetJWTBundleForTrustDomain(svid.ID.TrustDomain())
	if err != nil {
		return nil, err
	}
	offline, err := jwtsvid.ParseAndValidate(token.Marshal(), jwtbundle.NewSet(keys), []string{audience})
	if err != nil {
		return nil, err
	}
	out["offline"] = offline.ID.String()
	if _, err := jwtsvid.ParseAndValidate(token.Marshal(), keys, []string{"another"}); err == nil {
		return nil, errors.New("go-spiffe took a token for another audience")
	}
	online, err := workloadapi.ValidateJWTSVID(ctx, token.Marshal(), audience, workloadapi.WithAddr("unix://"+socket))
	if err != nil {
		return nil, err
	}
	out["online"] = online.ID.String()

	first := svid.Certificates[0].SerialNumber.Text(16)
	told.Say(map[string]any{"first": first})
	told.Wait()
	for {
		svid, err = source.GetX509SVID()
		if err != nil {
			return nil, err
		}
		if serial := svid.Certificates[0].SerialNumber.Text(16); serial != first {
			out["rotated"] = serial
			break
		}
		if err := source.WaitUntilUpdated(ctx); err != nil {
			return nil, err
		}
	}
	if _, err := handshake(source, tlsconfig.AuthorizeID(svid.ID)); err != nil {
		return nil, err
	}
	return out, nil
}

// handshake lets a server and a client with our SVID meet, and returns who the client met.
func handshake(source *workloadapi.X509Source, authorize tlsconfig.Authorizer) (string, error) {
	listener, err := tls.Listen("tcp", "127.0.0.1:0", tlsconfig.MTLSServerConfig(source, source, authorize))
	if err != nil {
		return "", err
	}
	defer listener.Close()
	go serve(listener)
	connection, err := tls.Dial("tcp", listener.Addr().String(), tlsconfig.MTLSClientConfig(source, source, authorize))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if _, err := io.ReadAll(connection); err != nil {
		return "", err
	}
	id, err := x509svid.IDFromCert(connection.ConnectionState().PeerCertificates[0])
	return id.String(), err
}

func serve(listener net.Listener) {
	connection, err := listener.Accept()
	if err != nil {
		return
	}
	_, _ = connection.Write([]byte("hello"))
	connection.Close()
}
