package block

// plainChunks hands out the lines as they come.
type plainChunks struct {
	window    *window
	handedOut int // bytes that were handed out
}

func (p *plainChunks) next() (chunk, error) {
	p.window.drop(p.handedOut)
	p.handedOut = 0
	if !p.window.ensure(1) {
		return chunk{}, p.window.err
	}
	text := p.window.data()
	p.handedOut = len(text)
	return chunk{offset: p.window.offset, size: int64(len(text)), text: text}, nil
}
