package get

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"concert/download"
	"concert/internal/printable"
)

// gather returns the files of the command line and of the list. If the
// description of a file is wrong, gather returns an error, before any download
// starts.
func (o *options) gather(args []string) ([]*wanted, error) {
	if err := checkDirectory(o.dir); err != nil {
		return nil, fmt.Errorf("-d: %w", err)
	}
	list, err := parseArguments(args)
	if err != nil {
		return nil, err
	}
	if o.list != "" {
		more, err := readList(o.list)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	if err := o.applyToOne(list); err != nil {
		return nil, err
	}
	for i := range list {
		if err := list[i].check(o.urlDirs); err != nil {
			return nil, err
		}
	}
	if o.checksums != "" {
		c, err := readChecksums(o.checksums)
		if err != nil {
			return nil, err
		}
		if err := c.apply(list); err != nil {
			return nil, err
		}
	}
	if list, err = unique(list, foldsCase); err != nil {
		return nil, err
	}
	return list, nil
}

// checkDirectory returns an error if a directory can neither exist at a path
// nor be created there, because a file has this path or the path of a parent.
func checkDirectory(dir string) error {
	for {
		info, err := os.Stat(dir)
		if err == nil && info.IsDir() {
			return nil
		}
		if err == nil {
			return fmt.Errorf("%q is a file, and not a directory", dir)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent
	}
}

// parseArguments returns the files of the command line: a URL, and optionally
// name=NAME and sha256=HEX as arguments after it.
func parseArguments(args []string) (list []*wanted, err error) {
	for i, arg := range args {
		where := fmt.Sprintf("%s %d", argument, i+1)
		attribute := wanted{}
		if known, _ := attribute.setAttribute(arg); known {
			if len(list) == 0 {
				key, _, _ := strings.Cut(arg, "=")
				return nil, fmt.Errorf("%s: %s= goes after a URL", where, key)
			}
			if _, err := list[len(list)-1].setAttribute(arg); err != nil {
				return nil, fmt.Errorf("%s: %w", where, trimmed{err})
			}
			continue
		}
		if strings.Contains(arg, " name=") || strings.Contains(arg, " sha256=") {
			return nil, fmt.Errorf("%s: name= and sha256= are arguments of their own, after the URL; a space in a URL is %%20", where)
		}
		list = append(list, &wanted{url: arg, source: argument, line: int32(i + 1)})
	}
	return list, nil
}

// readList reads the list of a file, or of the standard input.
func readList(name string) ([]*wanted, error) {
	if name == "-" {
		return parseList(os.Stdin, listName(name))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseList(f, name)
}

// listName returns the name of a list in messages.
func listName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

// applyToOne applies the flags that describe the only file.
func (o *options) applyToOne(list []*wanted) error {
	flags := map[string]bool{"-o": o.output != "", "--sha256": o.sha256 != "", "--digest": o.digests != nil, "--mirror": o.mirrors != nil}
	for _, name := range []string{"-o", "--sha256", "--digest", "--mirror"} {
		if flags[name] && len(list) != 1 {
			return fmt.Errorf("%s is for one URL, and there are %d; in a list, or after a URL, write name=NAME and sha256=HEX", name, len(list))
		}
	}
	if len(list) != 1 {
		return nil
	}
	w := list[0]
	for _, m := range o.mirrors {
		w.addMirror(m)
	}
	if o.output != "" {
		if err := o.applyOutput(w); err != nil {
			return fmt.Errorf("-o: %w", trimmed{err})
		}
	}
	if o.sha256 != "" {
		if _, err := w.setAttribute("sha256=" + o.sha256); err != nil {
			return fmt.Errorf("--sha256: %w", trimmed{err})
		}
	}
	for _, text := range o.digests {
		d, err := download.ParseDigest(text)
		if err == nil {
			err = w.addDigest(d)
		}
		if err != nil {
			return fmt.Errorf("--digest: %w", trimmed{err})
		}
	}
	return nil
}

// applyOutput sets the name of the file, and the directory, from the flag -o.
func (o *options) applyOutput(w *wanted) error {
	dir, name := filepath.Split(o.output)
	switch {
	case w.name != "":
		return errors.New("the URL has a name already, with name=")
	case o.output == "-":
		return errors.New("a download cannot go to the standard output, because it is verified when it is complete")
	case name == "":
		return fmt.Errorf("%q is a directory; use -d for the directory", o.output)
	}
	if filepath.IsAbs(dir) {
		o.dir = dir
	} else {
		o.dir = filepath.Join(o.dir, dir)
	}
	if dir != "" {
		if info, err := os.Stat(o.dir); err != nil {
			return fmt.Errorf("the directory %q cannot be used: %w; create it first", o.dir, errors.Unwrap(err))
		} else if !info.IsDir() {
			return fmt.Errorf("%q is not a directory", o.dir)
		}
	}
	if info, err := os.Stat(filepath.Join(o.dir, name)); err == nil && info.IsDir() {
		return fmt.Errorf("%q is a directory; use -d for the directory", o.output)
	}
	w.name = name
	return download.CheckName(name)
}

// makeDirectories creates the directory of -d, and the directories in it that
// --url-dirs needs. The result missing has the errors of the directories of
// --url-dirs that cannot be created. A symbolic link cannot lead out of the
// directory of -d.
func (o *options) makeDirectories(list []*wanted) (missing map[string]error, err error) {
	if err := os.MkdirAll(o.dir, 0o777); err != nil {
		return nil, err
	}
	if !o.urlDirs {
		return nil, nil
	}
	root, err := os.OpenRoot(o.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	missing = map[string]error{}
	made := map[string]bool{"": true}
	for _, w := range list {
		if made[w.dir] {
			continue
		}
		made[w.dir] = true
		if err := root.MkdirAll(filepath.FromSlash(w.dir), 0o777); err != nil {
			missing[w.dir] = fmt.Errorf("cannot create the directory of the URL: %w", err)
		}
	}
	return missing, nil
}

// dryRun prints what would happen to each file.
func (o *options) dryRun(list []*wanted, out io.Writer) error {
	for _, w := range list {
		path := filepath.Join(w.directory(o.dir), w.name)
		line := fmt.Sprintf("%-9s %s  %s\n", o.planned(path), printable.Text(path), printable.Text(w.shown()))
		if o.json {
			line = eventLine(planEvent{newFileEvent("plan", w, path), o.planned(path)})
		}
		if _, err := io.WriteString(out, line); err != nil {
			return err
		}
	}
	return nil
}

// planned returns a word for the action that a run would take for the file
// with a path.
func (o *options) planned(path string) string {
	exists := func(name string) bool { _, err := os.Lstat(name); return err == nil }
	switch {
	case exists(path) && o.overwrite:
		return "replace"
	case exists(path) && o.keep:
		return "skip"
	case exists(path):
		return "compare" // the file would be compared with its checksum, its receipt or the server
	}
	for _, part := range []string{".part", ".concert.part"} {
		if exists(path+part) && exists(path+part+".json") {
			return "continue"
		}
	}
	return "download"
}
