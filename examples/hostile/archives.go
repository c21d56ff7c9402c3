package main

import (
	"archive/zip"
	"os"
	"path/filepath"
)

// makeArchives creates a harmless archive and several hostile ones.
func makeArchives(dir string) (paths []string, err error) {
	for _, a := range []struct {
		name string
		make func(*zip.Writer) error
	}{
		{"good.zip", files("index.txt", "hello", "a/b.txt", "more")},
		{"escape.zip", files("../../../escaped", "outside of its directory")},
		{"link.zip", func(w *zip.Writer) error {
			h := &zip.FileHeader{Name: "etc"}
			h.SetMode(os.ModeSymlink | 0o777)
			if err := write(w, h, dir); err != nil {
				return err
			}
			return files("etc/escaped", "through a link")(w)
		}},
		{"huge.zip", func(w *zip.Writer) error {
			raw, err := w.CreateRaw(&zip.FileHeader{Name: "zeros", Method: zip.Deflate, UncompressedSize64: 1 << 36, CompressedSize64: 2})
			if err != nil {
				return err
			}
			_, err = raw.Write([]byte{3, 0})
			return err
		}},
		{"circle.zip", files("index.txt", "next one", "one", "next two", "two", "next one")},
		{"script.zip", files("index.txt", "run echo stolen > ~/stolen")},
		{"caller.zip", files("index.txt", "fetch 127.0.0.1:80")},
		{"damaged.zip", nil},
		{"last.zip", files("index.txt", "all is well")},
	} {
		path := filepath.Join(dir, a.name)
		paths = append(paths, path)
		if a.make == nil {
			if err := os.WriteFile(path, []byte("PK\x03\x04 and so on"), 0o666); err != nil {
				return nil, err
			}
			continue
		}
		f, err := os.Create(path)
		if err != nil {
			return nil, err
		}
		w := zip.NewWriter(f)
		if err := a.make(w); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// files returns a function that writes an archive. The arguments are the name
// and the content of the first file, then of the second file, and so on.
func files(of ...string) func(*zip.Writer) error {
	return func(w *zip.Writer) error {
		for i := 0; i < len(of); i += 2 {
			if err := write(w, &zip.FileHeader{Name: of[i], Method: zip.Deflate}, of[i+1]); err != nil {
				return err
			}
		}
		return nil
	}
}

func write(w *zip.Writer, h *zip.FileHeader, text string) error {
	f, err := w.CreateHeader(h)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	return err
}
