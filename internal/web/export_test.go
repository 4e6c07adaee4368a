//go:build unix

package web

// Idle returns how many connections wait for another request.
func (s *Server) Idle() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places.idle.Len()
}

// Free returns how many places there are.
func (s *Server) Free() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places.free
}
