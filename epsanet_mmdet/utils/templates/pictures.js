// The slider hides detections of lower scores; objects that only those find become misses.
for (const gallery of document.querySelectorAll('.gallery')) {
  const slider = gallery.querySelector('[type=range]');
  slider.addEventListener('input', () => {
    gallery.querySelector('output').value = (+slider.value).toFixed(2);
    for (const shape of gallery.querySelectorAll('[data-score]')) {
      const low = +shape.dataset.score < +slider.value;
      if (shape.matches('.GT')) shape.classList.toggle('FN', low);
      else shape.toggleAttribute('hidden', low);
    }
    for (const part of gallery.querySelectorAll('figure, dialog')) {
      for (const count of part.querySelectorAll('[data-count]')) {
        count.textContent = part.querySelectorAll(`g.${count.dataset.count}:not([hidden])`).length;
      }
    }
  });
}

// A click shows a picture in the size of the window; the switches and the slider move there.
const dialog = document.createElement('dialog'), bar = document.createElement('p');
const add = (parent, text, action) => {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = text;
  button.addEventListener('click', action);
  parent.append(button);
};
const pictures = [...document.querySelectorAll('svg.picture')];
let shown = 0;
const show = step => {
  shown = (shown + step + pictures.length) % pictures.length;
  const picture = pictures[shown], gallery = picture.closest('.gallery, section');
  restore();
  if (dialog.parentNode !== gallery) {
    dialog.close();
    gallery.append(dialog);
  }
  const copy = picture.cloneNode(true);
  dialog.replaceChildren(bar, copy);
  bar.firstChild.replaceChildren(picture.parentNode.querySelector('figcaption span').cloneNode(true));
  const tools = gallery.querySelector('.tools');
  if (tools) bar.after(tools);
  if (!dialog.open) dialog.showModal();
  copy.style.setProperty('--scale', copy.getScreenCTM().a);
};
const restore = () => {
  const tools = dialog.querySelector('.tools');
  if (tools) dialog.parentNode.prepend(tools);
};
dialog.className = 'zoom';
bar.append(document.createElement('span'));
add(bar, '← previous', () => show(-1));
add(bar, 'next →', () => show(1));
add(bar, 'close', () => dialog.close());
dialog.addEventListener('close', restore);
dialog.addEventListener('click', event => { if (event.target.closest('svg')) dialog.close(); });
dialog.addEventListener('keydown', event => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step && event.target.type !== 'range') show(step);
});
pictures.forEach((picture, i) => {
  const open = () => { shown = i; show(0); };
  picture.addEventListener('click', open);
  const caption = picture.closest('figure').querySelector('figcaption');
  caption.append(' ');
  add(caption, 'full size', open);
});
