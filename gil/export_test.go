package gil

// NoPriority makes goroutines that return from Release wait as long as all
// other goroutines.
func NoPriority(l *Lock) { l.after[back] = l.after[fresh] }
