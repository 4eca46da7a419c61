package registrytest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Identity is a key and its self-signed certificate, for TLS on this machine and for signing tokens.
type Identity struct {
	key         *rsa.PrivateKey
	DER         []byte // the certificate
	Certificate string // file, PEM
	KeyFile     string // file, PEM
}

// NewIdentity makes one for this machine.
func NewIdentity(t testing.TB) *Identity {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "registry test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4zero},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	id := &Identity{key, der, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	for path, data := range map[string][]byte{id.Certificate: certificate, id.KeyFile: private} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// TokenService is how the token server knows the registry.
const TokenService = "registry of the test"

const tokenIssuer = "issuer of the test"

// StartTokenServer gives tokens to pull public/… to everyone, and to pull everything to User, at the URL that it returns.
// docker-registry checks them; it has no token server of its own.
func StartTokenServer(t testing.TB, id *Identity) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repository := strings.TrimSuffix(strings.TrimPrefix(r.URL.Query().Get("scope"), "repository:"), ":pull")
		name, secret, hasUser := r.BasicAuth()
		if r.URL.Query().Get("service") != TokenService || (hasUser && (name != User || secret != Password)) {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		access := []any{}
		if hasUser || strings.HasPrefix(repository, "public/") {
			access = append(access, map[string]any{"type": "repository", "name": repository, "actions": []string{"pull"}})
		}
		json.NewEncoder(w).Encode(map[string]any{"token": id.sign(t, access), "expires_in": 60})
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{id.DER}, PrivateKey: id.key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL + "/token"
}

// sign makes a token as the distribution specification's token authentication has it: a JWT with the certificate in it.
func (id *Identity) sign(t testing.TB, access []any) string {
	now := time.Now().Unix()
	part := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	signed := part(map[string]any{
		"typ": "JWT", "alg": "RS256", "x5c": []string{base64.StdEncoding.EncodeToString(id.DER)},
	}) + "." + part(map[string]any{
		"iss": tokenIssuer, "sub": "", "aud": TokenService, "jti": fmt.Sprint(now),
		"exp": now + 60, "nbf": now - 60, "iat": now, "access": access,
	})
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, id.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Error(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// StartWithTokens serves the storage of another registry to who has a token.
func StartWithTokens(t testing.TB, open *Server, id *Identity, tokenURL string) *Server {
	t.Helper()
	auth := fmt.Sprintf("auth: {token: {realm: %q, service: %q, issuer: %q, rootcertbundle: %q}}",
		tokenURL, TokenService, tokenIssuer, id.Certificate)
	return Start(t, open.Storage, "", auth)
}

// StartWithTLS serves the storage of another registry by HTTPS. It answers as 0.0.0.0, which reaches this machine like
// 127.0.0.1 but is not one of the names that Fledge asks by plain HTTP.
func StartWithTLS(t testing.TB, open *Server, id *Identity) *Server {
	t.Helper()
	s := Start(t, open.Storage, fmt.Sprintf(", tls: {certificate: %q, key: %q}", id.Certificate, id.KeyFile), "")
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = "0.0.0.0:" + port
	return s
}
