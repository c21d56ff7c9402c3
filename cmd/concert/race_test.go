//go:build race

package main

func init() { tourBounds = false }
