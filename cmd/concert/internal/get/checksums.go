package get

import (
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"concert/download"
)

// checksumFile has the digests of a file in the format of sha256sum.
type checksumFile struct {
	name   string
	byPath map[string][]download.Digest
	byBase map[string][]string // maps the last element of a path to the paths
}

// taggedLine is a line in the format of BSD: "SHA256 (NAME) = HEX".
var taggedLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Za-z0-9-]+) \((.+)\) = ([0-9A-Fa-f]+)$`)
})

// readChecksums reads a list of checksums. Each line has the form "HEX NAME"
// or "SHA256 (NAME) = HEX". The number of digits selects the algorithm.
func readChecksums(name string) (*checksumFile, error) {
	in := io.Reader(os.Stdin)
	c := &checksumFile{name: listName(name), byPath: map[string][]download.Digest{}, byBase: map[string][]string{}}
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("--checksums: %w", err)
		}
		defer f.Close()
		in = f
	}
	lines := newLines(decoded(in))
	for lines.Scan() {
		line := lines.Text()
		if text := strings.TrimSpace(line); text == "" || text[0] == '#' {
			continue
		}
		if err := c.addLine(line); err != nil {
			return nil, fmt.Errorf("--checksums: %s:%d: %w", c.name, lines.number, trimmed{err})
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("--checksums: %s:%d: %w", c.name, lines.number+1, err)
	}
	return c, nil
}

// addLine adds the digest of a line.
func (c *checksumFile) addLine(line string) error {
	line, escaped := strings.CutPrefix(line, `\`) // sha256sum escapes such names
	digest, name, found := strings.Cut(strings.TrimLeft(line, " \t"), " ")
	if m := taggedLine().FindStringSubmatch(line); m != nil {
		name, digest = m[2], m[1]+"="+m[3]
	} else if !found || !isHex(digest) {
		return fmt.Errorf("%q is not a line of the form HEX  NAME", line)
	} else {
		name = strings.TrimLeft(name, " \t")
		name = strings.TrimPrefix(name, "*")
	}
	if escaped {
		name = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(name)
	}
	d, err := download.ParseDigest(digest)
	if err != nil {
		return err
	}
	name = path.Clean(name)
	for _, have := range c.byPath[name] {
		if have.Algorithm == d.Algorithm && have.Hex != d.Hex {
			return fmt.Errorf("%q has two different checksums", name)
		}
	}
	if c.byPath[name] == nil {
		c.byBase[path.Base(name)] = append(c.byBase[path.Base(name)], name)
	}
	c.byPath[name] = append(c.byPath[name], d)
	return nil
}

// apply adds the digests to the files of a list. It finds the digests of a
// file by its path within the directory of -d, and otherwise by its name. It
// returns an error if a file has no digest at all, because the user expects
// that each file is verified.
func (c *checksumFile) apply(list []*wanted) error {
	for _, w := range list {
		digests := c.byPath[w.path()]
		if paths := c.byBase[w.name]; digests == nil && len(paths) > 0 {
			digests = c.byPath[paths[0]]
			for _, other := range paths[1:] {
				if !slices.Equal(digests, c.byPath[other]) {
					return fmt.Errorf("%s: %s has several checksums for the name %q, of %s and %s; use --url-dirs, or write the checksum in the list",
						w.where(), c.name, w.name, paths[0], other)
				}
			}
		}
		if digests == nil && len(w.digests()) == 0 {
			return fmt.Errorf("%s: %s has no checksum for %q; download this file with another command, or write its checksum in the list", w.where(), c.name, w.path())
		}
		for _, d := range digests {
			if err := w.addDigest(d); err != nil {
				return fmt.Errorf("%s, in the list and in %s: %w", w.where(), c.name, err)
			}
		}
	}
	return nil
}
