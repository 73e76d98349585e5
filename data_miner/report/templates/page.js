(() => {
  const root = document.documentElement;
  root.classList.add('js');

  // Pictures stand once, at the end of the page, and are unpacked when they come near the window.
  const pictures = JSON.parse(document.getElementById('pictures').textContent);
  const show = (image) => {
    if (!image.src) image.src = 'data:image/jpeg;base64,' + pictures[Number(image.dataset.picture)];
  };
  const images = document.querySelectorAll('img[data-picture]');
  if ('IntersectionObserver' in window) {
    const near = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) { show(entry.target); near.unobserve(entry.target); }
    }, { rootMargin: '600px' });
    images.forEach((image) => near.observe(image));
  } else images.forEach(show);
  addEventListener('beforeprint', () => images.forEach(show));

  // Light and dark: the system's, until somebody says otherwise.
  const keep = (value) => { try { localStorage.setItem('data-miner-theme', value); } catch { /* a file may not keep anything */ } };
  const kept = () => { try { return localStorage.getItem('data-miner-theme'); } catch { return null; } };
  const toggle = document.getElementById('theme');
  const isDark = () => (root.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
  const label = () => { toggle.textContent = isDark() ? 'Light' : 'Dark'; toggle.setAttribute('aria-label', 'Show in ' + (isDark() ? 'light' : 'dark') + ' colours'); };
  if (['light', 'dark'].includes(kept())) root.dataset.theme = kept();
  toggle.addEventListener('click', () => { root.dataset.theme = isDark() ? 'light' : 'dark'; keep(root.dataset.theme); label(); });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', label);
  label();

  // A chart is a row of choices: hover reads a bin, a click or an arrow key shows its pictures.
  for (const chart of document.querySelectorAll('.threshold')) {
    const bins = [...chart.querySelectorAll('.plot .bin')];
    const rows = [...chart.querySelectorAll('.binrow')];
    const readout = chart.querySelector('.readout');
    const atRest = readout.textContent;
    const read = (bin) => { readout.textContent = bin ? bin.getAttribute('aria-label') : atRest; };
    const choose = (bin) => {
      bins.forEach((other) => { other.setAttribute('aria-checked', String(other === bin)); other.tabIndex = other === bin ? 0 : -1; });
      rows.forEach((row) => row.classList.toggle('on', row.dataset.bin === bin.dataset.bin));
      read(bin);
    };
    bins.forEach((bin, i) => {
      bin.addEventListener('mouseenter', () => read(bin));
      bin.addEventListener('mouseleave', () => read(bins.find((other) => other.getAttribute('aria-checked') === 'true')));
      bin.addEventListener('focus', () => read(bin));
      bin.addEventListener('click', () => choose(bin));
      bin.addEventListener('keydown', (event) => {
        const next = { ArrowRight: i + 1, ArrowUp: i + 1, ArrowLeft: i - 1, ArrowDown: i - 1, Home: 0, End: bins.length - 1, Enter: i, ' ': i }[event.key];
        if (next === undefined) return;
        event.preventDefault();
        const target = bins[Math.max(0, Math.min(bins.length - 1, next))];
        choose(target);
        target.focus();
      });
    });
    const every = chart.querySelector('.every-bin');
    if (every) every.addEventListener('click', () => {
      const on = chart.querySelector('.bins').classList.toggle('every');
      every.setAttribute('aria-pressed', String(on));
      every.textContent = on ? 'Only the chosen bin' : 'Pictures of every bin';
    });
  }

  // Where one is.
  const links = new Map([...document.querySelectorAll('nav a')].map((link) => [link.hash.slice(1), link]));
  const sections = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  const here = () => {
    const passed = sections.filter((section) => section.getBoundingClientRect().top < 120);
    const current = passed.length ? passed[passed.length - 1] : sections[0];
    links.forEach((link, id) => { if (current && id === current.id) link.setAttribute('aria-current', 'true'); else link.removeAttribute('aria-current'); });
  };
  addEventListener('scroll', here, { passive: true });
  here();
})();
