package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path"
	"strings"
)

// unpackBelieving is an example of bad code: it trusts names, sizes and links,
// and runs the programs that the archive names.
func unpackBelieving(_ context.Context, j job) (files int, err error) {
	r, err := zip.OpenReader(j.Archive)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	contents := map[string][]byte{}
	for _, f := range r.File {
		data := make([]byte, f.UncompressedSize64) // trusts the size in the header
		in, err := f.Open()
		if err != nil {
			return files, err
		}
		if _, err := io.ReadFull(in, data); err != nil {
			return files, err
		}
		in.Close()
		name := j.Into + "/" + f.Name // trusts the name, which may lead out of the directory
		if f.Mode()&os.ModeSymlink != 0 {
			if err := os.Symlink(string(data), name); err != nil {
				return files, err
			}
			continue
		}
		if err := os.MkdirAll(path.Dir(name), 0o777); err != nil {
			return files, err
		}
		if err := os.WriteFile(name, data, 0o777); err != nil {
			return files, err
		}
		contents[f.Name] = data
		files++
	}
	return files, follow(contents)
}

// follow executes the lines of index.txt: "next" continues with another file,
// "run" runs a program, and "fetch" sends a request to a server.
func follow(contents map[string][]byte) error {
	for page := "index.txt"; page != ""; {
		lines := bufio.NewScanner(bytes.NewReader(contents[page]))
		page = ""
		for lines.Scan() {
			what, with, _ := strings.Cut(lines.Text(), " ")
			switch what {
			case "next":
				page = with // never ends if two pages name each other
			case "run":
				if err := exec.Command("/bin/sh", "-c", with).Run(); err != nil {
					return err
				}
			case "fetch":
				conn, err := net.Dial("tcp", with)
				if err != nil {
					return err
				}
				conn.Close()
			}
		}
	}
	return nil
}
