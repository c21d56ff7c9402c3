// Package filelock locks files, so that only one program at a time uses them.
package filelock
