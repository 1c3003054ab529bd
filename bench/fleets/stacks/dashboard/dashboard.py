"""A page of streamlit."""

import streamlit

streamlit.title("Visitors")
streamlit.line_chart({"visitors": [3, 1, 4, 1, 5]})
