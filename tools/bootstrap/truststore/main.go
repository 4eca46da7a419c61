// Command truststore prints the certificates that the machine trusts as a Java key store (JKS version 2), for Bazel's
// downloader: Debian's Java comes without any. It takes SSL_CERT_FILE or the first of the usual bundles.
package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"os"
	"unicode/utf16"
)

// bundles are where the common distributions keep the trusted certificates, as PEM.
var bundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "truststore:", err)
		os.Exit(1)
	}
}

func run() error {
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		bundles = []string{file}
	}
	for _, file := range bundles {
		data, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		certs := certificates(data)
		if len(certs) == 0 {
			return fmt.Errorf("%s has no certificate", file)
		}
		_, err = os.Stdout.Write(keyStore(certs, "changeit"))
		return err
	}
	return fmt.Errorf("none of %v exists: install ca-certificates, or set SSL_CERT_FILE", bundles)
}

// certificates returns the DER form of every certificate of a PEM file.
func certificates(data []byte) [][]byte {
	var certs [][]byte
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return certs
		}
		if block.Type == "CERTIFICATE" {
			certs = append(certs, block.Bytes)
		}
		data = rest
	}
}

// keyStore lays out trusted certificates as sun.security.provider.JavaKeyStore reads them: big endian, every string with
// its length before it, and in the end a SHA-1 over password, a fixed text and all that stands before.
func keyStore(certs [][]byte, password string) []byte {
	var b bytes.Buffer
	put := func(v any) { _ = binary.Write(&b, binary.BigEndian, v) } // a bytes.Buffer does not fail
	str := func(s string) { put(uint16(len(s))); b.WriteString(s) }
	put(uint32(0xfeedfeed))
	put(uint32(2)) // version
	put(uint32(len(certs)))
	for i, der := range certs {
		put(uint32(2)) // a trusted certificate
		str(fmt.Sprintf("ca%d", i))
		put(uint64(0)) // no date
		str("X.509")
		put(uint32(len(der)))
		b.Write(der)
	}
	h := sha1.New()
	_ = binary.Write(h, binary.BigEndian, utf16.Encode([]rune(password)))
	h.Write([]byte("Mighty Aphrodite"))
	h.Write(b.Bytes())
	return h.Sum(b.Bytes())
}
