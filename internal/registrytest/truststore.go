package registrytest

import (
	"bytes"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TrustStore writes the identity and the machine's own roots as a Java key store, which is what Bazel's JVM reads:
// magic, version and entries (sun.security.provider.JavaKeyStore); the checksum after them is read with a password only.
func TrustStore(t testing.TB, id *Identity) string {
	t.Helper()
	certificates := [][]byte{id.DER}
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
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
