package dockerfiles

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// serverName is in the server's certificate, and no address is.
const serverName = "buildkitd.test"

// certificates are files: an authority, and what it signed for a server and a client.
type certificates struct {
	ca, serverCert, serverKey, clientCert, clientKey string
}

func makeCertificates(dir string) (c certificates, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return c, err
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	c = certificates{file("ca.pem"), file("server.pem"), file("server-key.pem"), file("client.pem"), file("client-key.pem")}
	ca := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caKey, err := sign(ca, ca, nil, c.ca, file("ca-key.pem"))
	if err != nil {
		return c, err
	}
	server := &x509.Certificate{DNSNames: []string{serverName}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if _, err := sign(server, ca, caKey, c.serverCert, c.serverKey); err != nil {
		return c, err
	}
	client := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	_, err = sign(client, ca, caKey, c.clientCert, c.clientKey)
	return c, err
}

// sign makes a certificate with a new key, which it returns; without a parent's key the new one signs.
func sign(cert, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, certFile, keyFile string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if parentKey == nil {
		parentKey = key
	}
	cert.SerialNumber, cert.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: filepath.Base(certFile)}
	cert.NotBefore, cert.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := writePEM(certFile, "CERTIFICATE", der); err != nil {
		return nil, err
	}
	return key, writePEM(keyFile, "EC PRIVATE KEY", keyDER)
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
