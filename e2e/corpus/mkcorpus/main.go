// Command mkcorpus makes the corpus, or takes it from the cache, and prints the folder of its OCI layout.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/fledge-build/fledge/e2e/corpus"
	"github.com/fledge-build/fledge/e2e/layers"
)

func main() {
	compression := flag.String("compression", string(layers.Gzip), "compression of the layers: none, gzip or zstd")
	huge := flag.Bool("huge", false, "with a sparse file of more than 4 GiB")
	flag.Parse()
	options := corpus.Options{Compression: layers.Compression(*compression), Huge: *huge}
	layout, err := corpus.Make(context.Background(), options, os.Stderr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "mkcorpus: %v\n", err)
		os.Exit(1)
	}
	fmt.Println(layout)
}
