//go:build unix && !linux

package supervisor

func runner()  {}
func sibling() {}
