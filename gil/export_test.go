package gil

// NoPriority has those who come back wait as long as everybody else.
func NoPriority(l *Lock) { l.after[back] = l.after[fresh] }
