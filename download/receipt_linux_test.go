package download_test

import "syscall"

const receiptName = "user.concert.download"

// hasReceipt reports whether a file has a receipt.
func hasReceipt(path string) bool {
	n, err := syscall.Getxattr(path, receiptName, make([]byte, 1024))
	return err == nil && n > 0
}

// removeReceipt removes the receipt of a file, if it has one.
func removeReceipt(path string) { syscall.Removexattr(path, receiptName) }
