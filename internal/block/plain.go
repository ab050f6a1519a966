package block

// plain hands out the lines as they come.
type plain struct {
	window *window
	told   int // bytes that were handed out
}

func (p *plain) next() (chunk, error) {
	p.window.drop(p.told)
	p.told = 0
	if !p.window.need(1) {
		return chunk{}, p.window.err
	}
	text := p.window.data()
	p.told = len(text)
	return chunk{offset: p.window.offset, size: int64(len(text)), text: text}, nil
}
