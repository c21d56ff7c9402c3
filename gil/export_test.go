package gil

// NoPriority makes goroutines that return from Release wait as long as all
// others.
func NoPriority(l *Lock) { l.after[back] = l.after[fresh] }
