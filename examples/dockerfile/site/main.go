// Command site renders a folder of pages, and serves it: "site render FROM TO" replaces {{NAME}} by environment variables,
// "site serve" serves the current folder on port 8080.
package main

import (
	"errors"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("site: ")
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "render":
		return render(args[1], args[2])
	case len(args) == 1 && args[0] == "serve":
		log.Print("serving on :8080")
		return http.ListenAndServe(":8080", http.FileServer(http.Dir(".")))
	}
	return errors.New("usage: site render FROM TO | site serve")
}

var variable = regexp.MustCompile(`\{\{([A-Z]+)\}\}`)

func render(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	pages, err := filepath.Glob(filepath.Join(from, "*.html"))
	if err != nil {
		return err
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		text = variable.ReplaceAllFunc(text, func(name []byte) []byte {
			return []byte(os.Getenv(string(name[2 : len(name)-2])))
		})
		if err := os.WriteFile(filepath.Join(to, filepath.Base(page)), text, 0o644); err != nil {
			return err
		}
		log.Printf("rendered %s", page)
	}
	return nil
}
