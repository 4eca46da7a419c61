package registry

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
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

// identity is a key and its self-signed certificate, for TLS on this machine and for signing tokens.
type identity struct {
	key         *rsa.PrivateKey
	der         []byte
	certificate string // PEM files
	keyFile     string
}

func newIdentity(t *testing.T) *identity {
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
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4zero},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	id := &identity{key, der, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	writeFile(t, id.certificate, string(certificate), 0o600)
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	writeFile(t, id.keyFile, string(private), 0o600)
	return id
}

// trustStore writes the identity and the machine's own roots as a Java key store, which is what Bazel's JVM reads:
// magic, version and entries (sun.security.provider.JavaKeyStore); the checksum after them is read with a password only.
func (id *identity) trustStore(t *testing.T) string {
	t.Helper()
	certificates := [][]byte{id.der}
	system, _ := os.ReadFile("/etc/ssl/certs/ca-certificates.crt") // none is fine: then Bazel trusts the test alone
	for block, rest := pem.Decode(system); block != nil; block, rest = pem.Decode(rest) {
		certificates = append(certificates, block.Bytes)
	}
	var b bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			binary.Write(&b, binary.BigEndian, v)
		}
	}
	text := func(s string) { put(uint16(len(s)), []byte(s)) }
	put(uint32(0xfeedfeed), uint32(2), uint32(len(certificates)))
	for i, der := range certificates {
		put(uint32(2)) // a trusted certificate
		text(fmt.Sprintf("root%d", i))
		put(uint64(0))
		text("X.509")
		put(uint32(len(der)), der)
	}
	path := filepath.Join(t.TempDir(), "trust.jks")
	writeFile(t, path, b.String(), 0o600)
	return path
}

const (
	tokenService = "registry of the test"
	tokenIssuer  = "issuer of the test"
)

// startTokenServer gives tokens to pull public/… to everyone, and to pull everything to the user. docker-registry checks
// them; it has no token server of its own.
func startTokenServer(t *testing.T, id *identity) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repository := strings.TrimSuffix(strings.TrimPrefix(r.URL.Query().Get("scope"), "repository:"), ":pull")
		name, secret, hasUser := r.BasicAuth()
		if r.URL.Query().Get("service") != tokenService || (hasUser && (name != user || secret != password)) {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		access := []any{}
		if hasUser || strings.HasPrefix(repository, "public/") {
			access = append(access, map[string]any{"type": "repository", "name": repository, "actions": []string{"pull"}})
		}
		json.NewEncoder(w).Encode(map[string]any{"token": id.sign(t, access), "expires_in": 60})
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{id.der}, PrivateKey: id.key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL + "/token"
}

// sign makes a token as the distribution specification's token authentication has it: a JWT with the certificate in it.
func (id *identity) sign(t *testing.T, access []any) string {
	now := time.Now().Unix()
	part := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	signed := part(map[string]any{
		"typ": "JWT", "alg": "RS256", "x5c": []string{base64.StdEncoding.EncodeToString(id.der)},
	}) + "." + part(map[string]any{
		"iss": tokenIssuer, "sub": "", "aud": tokenService, "jti": fmt.Sprint(now),
		"exp": now + 60, "nbf": now - 60, "iat": now, "access": access,
	})
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, id.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Error(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// startWithTokens serves the storage of another registry to who has a token.
func startWithTokens(t *testing.T, open *server, id *identity, tokenURL string) *server {
	t.Helper()
	auth := fmt.Sprintf("auth: {token: {realm: %q, service: %q, issuer: %q, rootcertbundle: %q}}",
		tokenURL, tokenService, tokenIssuer, id.certificate)
	return start(t, open.storage, "", auth)
}

// startWithTLS serves the storage of another registry by HTTPS. It answers as 0.0.0.0, which reaches this machine like
// 127.0.0.1 but is not one of the names that Fledge asks by plain HTTP.
func startWithTLS(t *testing.T, open *server, id *identity) *server {
	t.Helper()
	s := start(t, open.storage, fmt.Sprintf(", tls: {certificate: %q, key: %q}", id.certificate, id.keyFile), "")
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = "0.0.0.0:" + port
	return s
}
