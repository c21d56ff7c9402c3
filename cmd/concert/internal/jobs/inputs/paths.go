package inputs

import "strings"

// transform returns the part of a path that the end of a replacement string
// selects. The result is the same as in GNU parallel: an extension begins with
// the last dot after the last slash, so .hidden is only an extension.
func transform(path, which string) string {
	switch which {
	case ".":
		return withoutExtension(path)
	case "/":
		return base(path)
	case "//":
		return directory(path)
	case "/.":
		return withoutExtension(base(path))
	}
	return path
}

// withoutExtension removes the extension: the last dot after the last slash,
// and the text after this dot.
func withoutExtension(path string) string {
	if i := strings.LastIndexByte(path, '.'); i > strings.LastIndexByte(path, '/') {
		return path[:i]
	}
	return path
}

// base returns the text after the last slash.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// directory returns the directory of a path as the program dirname does.
func directory(path string) string {
	rest := strings.TrimRight(path, "/")
	if rest == "" && path != "" {
		return "/"
	}
	i := strings.LastIndexByte(rest, '/')
	if i < 0 {
		return "."
	}
	rest = strings.TrimRight(rest[:i], "/")
	if rest == "" {
		return "/"
	}
	return rest
}
