// Sort a table by a click on a heading; texts by letter, numbers by their first number.
for (const head of document.querySelectorAll('table.sortable thead th')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener('click', () => {
    const table = head.closest('table'), body = table.tBodies[0], column = head.cellIndex;
    const up = head.getAttribute('aria-sort') === 'descending';
    for (const other of table.querySelectorAll('thead th')) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const key = row => {
      const text = row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
      const number = parseFloat(text.replace('−', '-'));
      return column && isNaN(number) ? -Infinity : column ? number : text;
    };
    const order = (a, b) => column ? key(a) - key(b) || 0 : key(a).localeCompare(key(b));
    const rows = [...body.rows].sort(order);
    body.append(...(up ? rows : rows.reverse()));
  });
}
